//! Principal components of patch tokens: fitted to all photos or to each, then drawn as colours.

pub(super) mod basis;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use image::RgbImage;
use serde_json::{Map, Value, json};

use crate::analysis::pca::{Basis, FitOptions, Projected, Projection, TokenSpool, fit};
use crate::engine::Seen;
use crate::engine::outcomes::Outcome;
use crate::engine::stopwatch::Stopwatch;
use crate::error::{Error, Result};
use crate::io::output::{
    Job, PICTURE, Plan, Status, Subject, deliver, put_all, write_npy, write_picture,
};
use crate::model::backbone::{Backbone, LayerRequest};
use crate::model::input::{Geometry, Padding};
use crate::model::weights::Record;
use crate::system::files::Digest;
use crate::tasks::clip::{ClipTask, DrawnFrame, FrameNumbers, ShownFrame};
use crate::tasks::costs::{ENCODER, per_pixel};
use crate::tasks::known::{KnownModel, Origin};
use crate::tasks::recipe::PcaRecipe;
use crate::tasks::settings::{Settings, unusual};
use crate::tasks::way::Way;
use crate::tasks::{
    Context, Finder, Finished, Found, Item, Kept, Task, Which, layer, not_gathered,
};
use crate::terminal::console::Console;
use crate::vision::render::{self, overlay, side_by_side};

/// Draws photos by their components.
pub struct PcaTask {
    recipe: PcaRecipe,
    model: KnownModel,
    layer: LayerRequest,
    way: Way,
    context: Context,
    /// That of a file, and what it was fitted to.
    saved: Option<(Projection, Origin)>,
    /// The file that it was adopted from.
    adopted: Option<PathBuf>,
    waiting: Mutex<Waiting>,
}

/// The photos between the passes.
struct Waiting {
    tokens: TokenSpool,
    photos: Vec<Kept>,
    /// Of all of them.
    projection: Option<Projection>,
}

/// A photo on its way to its picture.
struct Drawn<'a> {
    job: &'a Job,
    /// Where the picture shows it, or is fitted to it.
    photo: Option<&'a RgbImage>,
    geometry: &'a Geometry,
    watch: Stopwatch,
}

impl PcaTask {
    /// Of the tokens of `model`.
    ///
    /// # Errors
    /// [`Error::Usage`] for a block that it does not have; names a basis that does not fit it.
    pub fn new(recipe: PcaRecipe, model: &KnownModel, context: Context) -> Result<Self> {
        let mut layer = LayerRequest {
            block: layer::block_of(recipe.layer.layer, model.config.depth, &model.name)?,
            norm: !recipe.layer.no_norm,
        };
        let mut saved = None;
        if let Some(path) = &recipe.basis {
            let basis = basis::read(path, model)?;
            layer = basis.layer;
            saved = Some((basis.projection, basis.origin));
        }
        let mut pass = layer::pass(layer, recipe.layer.size, model.config.patch_size);
        if recipe.refine {
            // Patches at the border that are half empty have odd components.
            pass.preprocessor.padding = Padding::None;
        }
        Ok(PcaTask {
            way: Way::AtOnce(pass),
            layer,
            context,
            saved,
            adopted: None,
            waiting: Mutex::new(Waiting {
                tokens: TokenSpool::new(model.config.dim),
                photos: Vec::new(),
                projection: None,
            }),
            model: model.clone(),
            recipe,
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all photos have one fit, which is still to be made.
    fn is_joint(&self) -> bool {
        self.saved.is_none() && !self.recipe.fit_each
    }

    fn wants_photo(&self) -> bool {
        self.recipe.side_by_side || self.recipe.overlay.is_some() || self.recipe.refine
    }

    fn fit_options(&self) -> FitOptions {
        FitOptions {
            shown: self.recipe.components.iter().map(|n| n - 1).collect(),
            whiten: self.recipe.whiten,
            foreground: self.recipe.foreground,
        }
    }

    fn save(&self, projection: &Projection, words: &Console) -> Result<()> {
        match &self.recipe.save_basis {
            Some(path) => basis::save(path, &self.model, self.layer, projection, words),
            None => Ok(()),
        }
    }

    /// Fits the components to all tokens that wait.
    fn fit_tokens(&self, words: &Console) -> Result<()> {
        let mut waiting = self.waiting();
        let count = waiting.tokens.len();
        let mut watch = Stopwatch::default();
        let options = self.fit_options();
        let projection = watch.time("fit", || fit(&mut waiting.tokens, &options))?;
        words.detail(format_args!("{count} photos: {watch}"));
        self.save(&projection, words)?;
        waiting.projection = Some(projection);
        Ok(())
    }

    /// Projects, renders and writes one photo.
    fn draw(
        &self,
        drawn: Drawn<'_>,
        projection: &Projection,
        tokens: &[f32],
        words: &Console,
    ) -> Result<Finished> {
        let Drawn {
            job,
            photo,
            geometry,
            mut watch,
        } = drawn;
        let projected = watch.time("project", || projection.project(tokens))?;
        let picture = watch.time("render", || {
            self.picture(&projected, projection, geometry, photo)
        })?;
        let announce = !self.context.json;
        let text = [
            ("dino:model", self.model.name.clone()),
            ("dino:layer", self.layer.block.to_string()),
        ];
        watch.time("write", || {
            deliver(words, job.output(PICTURE), announce, |writer| {
                write_picture(writer, job.format, &picture, &text)
            })?;
            if self.recipe.raw {
                let grid = geometry.grid();
                let shape = [grid.rows, grid.cols, projection.shown.len()];
                deliver(words, job.output("npy"), announce, |writer| {
                    write_npy(writer, &shape, &projected.scores)
                })?;
            }
            Ok::<_, Error>(())
        })?;
        words.detail(format_args!("{}: {watch}", job.source.name()));
        words.found("seconds", watch.seconds());
        if self.context.json {
            let object = self.report(job, geometry, &projected, projection, &watch);
            words.out(&object.to_string())?;
        }
        Ok(Finished::Written(Outcome::Done))
    }

    fn picture(
        &self,
        projected: &Projected,
        projection: &Projection,
        geometry: &Geometry,
        photo: Option<&RgbImage>,
    ) -> Result<RgbImage> {
        let upscale = self.recipe.upscale;
        let guide = photo.filter(|_| self.recipe.refine);
        let ranges = &projection.ranges;
        let picture = render::pca::picture(projected, ranges, geometry, upscale, guide)?;
        match (photo, self.recipe.overlay) {
            (Some(photo), Some(alpha)) => Ok(overlay(photo, picture, alpha)),
            (Some(photo), None) if self.recipe.side_by_side => side_by_side(photo, &picture),
            (_, _) => Ok(picture),
        }
    }

    /// One JSON object a photo.
    fn report(
        &self,
        job: &Job,
        geometry: &Geometry,
        projected: &Projected,
        projection: &Projection,
        watch: &Stopwatch,
    ) -> Value {
        let grid = geometry.grid();
        let foreground = projected.foreground.iter().filter(|is| **is).count();
        let of_shown = |values: &[f64]| {
            let shown = projection.shown.iter();
            shown.map(|&index| values[index]).collect::<Vec<_>>()
        };
        let Basis { variances, .. } = &projection.basis;
        let mut object = self.subject().line_of_job(Status::Done, job);
        let facts = json!({
            "model": self.model.name,
            "layer": self.layer.block,
            "norm": self.layer.norm,
            "photo_size": [geometry.photo.0, geometry.photo.1],
            "input_size": [geometry.padded.0, geometry.padded.1],
            "grid": [grid.rows, grid.cols],
            "components": projection.shown.iter().map(|index| index + 1).collect::<Vec<_>>(),
            "variance": of_shown(variances),
            "explained_variance_ratio": of_shown(&projection.basis.explained_variance_ratio()),
            "ranges": projection.ranges,
            "whiten": projection.whiten,
            "refined": self.recipe.refine,
            "foreground_share": foreground as f64 / projected.foreground.len() as f64,
            "seconds": watch,
        });
        put_all(&mut object, facts);
        Value::Object(object)
    }
}

impl Finder for PcaTask {
    fn way(&self) -> &Way {
        &self.way
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        let beside = if self.recipe.side_by_side { 6 } else { 0 };
        per_pixel(3 + beside + ENCODER)(geometry)
    }

    fn needs_photo(&self) -> bool {
        self.wants_photo()
    }

    fn find(&self, seen: &Seen) -> Result<Found> {
        let tokens = layer::tokens(&seen.features, self.layer)?;
        Ok(Found::Tokens(tokens, seen.features.grid))
    }
}

impl Task for PcaTask {
    fn subject(&self) -> Subject {
        self.context.subject("pca")
    }

    fn extensions(&self) -> Vec<&'static str> {
        [PICTURE]
            .into_iter()
            .chain(self.recipe.raw.then_some("npy"))
            .collect()
    }

    fn which(&self) -> Which {
        match (&self.recipe.save_basis, self.is_joint()) {
            (Some(_), _) => Which::All,
            // Photos whose pictures are there take part in the fit, so that a run that is taken up again gives the
            // colours that it would have given at once.
            (None, true) => Which::AllOrNone,
            (None, false) => Which::Missing,
        }
    }

    fn siblings(&self) -> &'static [&'static str] {
        &["npy"]
    }

    fn settings(&self, extension: &str) -> Result<Settings> {
        let usual = PcaRecipe::default();
        let mut recipe = PcaRecipe {
            basis: None,
            raw: false,
            ..self.recipe.clone()
        };
        if extension != PICTURE {
            recipe.upscale = usual.upscale;
            recipe.side_by_side = usual.side_by_side;
            recipe.overlay = usual.overlay;
        }
        let settings = Settings::of(&recipe)?;
        match (&self.saved, &self.recipe.basis) {
            // One that was adopted is the fit, not a setting.
            (Some((projection, _)), Some(_)) => {
                let bytes = basis::to_bytes_of(&self.model, self.layer, projection)?;
                Ok(settings.with("basis", Digest::of_bytes(&bytes)))
            }
            _ => Ok(settings),
        }
    }

    fn waits(&self) -> bool {
        self.is_joint()
    }

    fn fit_bytes(&self) -> Result<Vec<u8>> {
        let projection = self.waiting().projection.clone();
        let projection = projection.ok_or_else(|| Error::Model("nothing was fitted".into()))?;
        basis::to_bytes_of(&self.model, self.layer, &projection)
    }

    fn adopt_fit(&mut self, path: &Path) -> Result<()> {
        if self.recipe.save_basis.is_some() {
            let why =
                "--save-basis saves a new fit, and --keep-fit makes none; leave one of them out";
            return Err(Error::Usage(why.into()));
        }
        let basis = basis::read(path, &self.model)?;
        self.saved = Some((basis.projection, basis.origin));
        self.adopted = Some(path.to_owned());
        Ok(())
    }

    fn reads(&self) -> Vec<&Path> {
        self.recipe.basis.as_deref().into_iter().collect()
    }

    fn begin(&mut self, plan: &mut Plan, _: &Console) -> Result<()> {
        let Some(path) = &self.recipe.save_basis else {
            return Ok(());
        };
        if self.recipe.fit_each && plan.jobs.len() > 1 {
            let why = "--save-basis: --fit each makes a fit for every photo; give one photo, or --fit all";
            return Err(Error::Usage(why.into()));
        }
        plan.add_flag("--save-basis", path, self.context.force)
    }

    fn parameters(&self) -> Value {
        unusual(&self.recipe)
    }

    fn as_clip_task(&self) -> Option<&dyn ClipTask> {
        Some(self)
    }

    fn meet(&mut self, _: &[Backbone], record: &Record, _: &Console) -> Result<()> {
        let origin = self.saved.as_ref().map(|(_, origin)| origin);
        let path = self.recipe.basis.as_deref().or(self.adopted.as_deref());
        self.model.meet(record, path.zip(origin))
    }

    fn finish(&self, item: Item<'_>, words: &Console) -> Result<Finished> {
        let Item {
            job,
            photo,
            geometry,
            found: Found::Tokens(tokens, grid),
            stamp,
            mut watch,
            is_only,
            ..
        } = item
        else {
            return Err(Error::Model("components are of tokens".into()));
        };
        let wanted = self.wants_photo().then_some(photo);
        if self.is_joint() {
            return Ok(Finished::Kept(Box::new(Kept {
                job: job.clone(),
                photo: wanted.filter(|_| is_only).cloned(),
                stamp,
                geometry,
                size: (grid.cols, grid.rows),
                values: tokens,
                samples: Vec::new(),
                room: None,
                watch,
            })));
        }
        let own;
        let projection = match &self.saved {
            Some((projection, _)) => projection,
            None => {
                let mut spool = TokenSpool::new(self.model.config.dim);
                spool.push(grid, &tokens)?;
                own = watch.time("fit", || fit(&mut spool, &self.fit_options()))?;
                self.save(&own, words)?;
                &own
            }
        };
        if job.is_done() {
            return Ok(Finished::Written(Outcome::Skipped));
        }
        let drawn = Drawn {
            job,
            photo: wanted,
            geometry: &geometry,
            watch,
        };
        self.draw(drawn, projection, &tokens, words)
    }

    fn take(&self, finished: Finished) -> Result<Option<Outcome>> {
        match finished {
            Finished::Written(outcome) | Finished::Annotated(outcome, _) => Ok(Some(outcome)),
            Finished::Gathered(_) => Err(not_gathered()),
            Finished::Kept(mut kept) => {
                let mut waiting = self.waiting();
                let (cols, rows) = kept.size;
                let tokens = std::mem::take(&mut kept.values);
                waiting
                    .tokens
                    .push(crate::model::input::Grid { rows, cols }, &tokens)?;
                waiting.photos.push(*kept);
                Ok(None)
            }
        }
    }

    fn fit(&self, words: &Console) -> Result<usize> {
        let count = self.waiting().photos.len();
        if count > 0 {
            self.fit_tokens(words)?;
        }
        Ok(count)
    }

    fn kept(&self, index: usize, job: &Job) -> Result<Kept> {
        let mut waiting = self.waiting();
        let values = match job.is_done() {
            true => Vec::new(),
            false => waiting.tokens.read(index)?.1,
        };
        Ok(waiting.photos[index].taken_up(job, values))
    }

    fn finish_kept(&self, kept: Kept, words: &Console) -> Result<Finished> {
        if kept.job.is_done() {
            return Ok(Finished::Written(Outcome::Skipped));
        }
        let photo = match (self.wants_photo(), kept.photo) {
            (false, _) => None,
            (true, Some(photo)) => Some(photo),
            (true, None) => Some(
                self.context
                    .decode_again(&kept.job.source, kept.stamp.as_ref())?,
            ),
        };
        let projection = self.waiting().projection.clone();
        let projection = projection.ok_or_else(|| Error::Model("nothing was fitted".into()))?;
        let drawn = Drawn {
            job: &kept.job,
            photo: photo.as_ref(),
            geometry: &kept.geometry,
            watch: kept.watch,
        };
        self.draw(drawn, &projection, &kept.values, words)
    }
}

impl ClipTask for PcaTask {
    fn looks_first(&self) -> bool {
        self.saved.is_none()
    }

    fn look(&self, _: &Geometry, found: Found) -> Result<()> {
        match found {
            Found::Tokens(tokens, grid) => self.waiting().tokens.push(grid, &tokens),
            _ => Err(Error::Model("components are of tokens".into())),
        }
    }

    fn settle(&self, words: &Console) -> Result<()> {
        self.fit_tokens(words)
    }

    fn draw(&self, frame: ShownFrame<'_>, geometry: &Geometry, found: Found) -> Result<DrawnFrame> {
        let Found::Tokens(tokens, _) = found else {
            return Err(Error::Model("components are of tokens".into()));
        };
        let fitted;
        let projection = match &self.saved {
            Some((projection, _)) => projection,
            None => {
                fitted = self.waiting().projection.clone();
                fitted
                    .as_ref()
                    .ok_or_else(|| Error::Model("nothing was fitted".into()))?
            }
        };
        let projected = projection.project(&tokens)?;
        let photo = self.wants_photo().then_some(frame.photo);
        Ok(DrawnFrame {
            size: frame.photo.dimensions(),
            picture: self.picture(&projected, projection, geometry, photo)?,
            numbers: FrameNumbers::None,
        })
    }

    fn facts(&self) -> Map<String, Value> {
        let shown = self.recipe.components.iter();
        Map::from_iter([
            ("model".to_owned(), json!(self.model.name)),
            ("layer".to_owned(), json!(self.layer.block)),
            ("components".to_owned(), json!(shown.collect::<Vec<_>>())),
        ])
    }
}
