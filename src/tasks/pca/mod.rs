//! Principal components of patch tokens: fitted to all photos or to each, then drawn as colours.

pub(super) mod basis;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use image::RgbImage;
use serde_json::{Map, Value, json};

use crate::analysis::pca::{Basis, PcaFitOptions, ProjectedPatches, Projection, TokenSpool, fit};
use crate::engine::BackboneOutput;
use crate::engine::run_report::Outcome;
use crate::engine::stopwatch::Stopwatch;
use crate::error::{Error, Result};
use crate::io::output::{
    LineStatus, LineSubject, OutputJob, OutputPlan, PICTURE_EXTENSION, put_all, write_npy,
    write_output, write_picture,
};
use crate::model::backbone::{Backbone, LayerRequest};
use crate::model::input::{Geometry, Padding};
use crate::model::weights::ModelRecord;
use crate::system::files::Digest;
use crate::tasks::backbone_info::{BackboneInfo, FitOrigin};
use crate::tasks::clip::{ClipTask, FrameImages, FrameValues, RenderedFrame};
use crate::tasks::inference_mode::InferenceMode;
use crate::tasks::memory_cost::{ENCODER_BYTES, pixel_cost};
use crate::tasks::recipe::PcaRecipe;
use crate::tasks::settings::{OutputSettings, non_default_settings};
use crate::tasks::{
    DeferredPhoto, FinishedPhoto, PhotoSelection, PredictedPhoto, Task, TaskContext, TaskOutput,
    TaskPredictor, layer, unexpected_row_error,
};
use crate::terminal::console::Console;
use crate::vision::render::{self, overlay, side_by_side};

/// Draws photos by their components.
pub struct PcaTask {
    recipe: PcaRecipe,
    model: BackboneInfo,
    layer: LayerRequest,
    mode: InferenceMode,
    context: TaskContext,
    /// That of a file, and what it was fitted to.
    saved_basis: Option<(Projection, FitOrigin)>,
    /// The file that it was adopted from.
    adopted_file: Option<PathBuf>,
    deferred: Mutex<DeferredPca>,
}

/// The photos between the passes.
struct DeferredPca {
    tokens: TokenSpool,
    photos: Vec<DeferredPhoto>,
    /// Of all of them.
    projection: Option<Projection>,
}

/// A photo on its way to its picture.
struct PcaPhoto<'a> {
    job: &'a OutputJob,
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
    pub fn new(recipe: PcaRecipe, model: &BackboneInfo, context: TaskContext) -> Result<Self> {
        let mut layer = LayerRequest {
            block: layer::resolve_block(recipe.layer.layer, model.config.depth, &model.name)?,
            norm: !recipe.layer.no_norm,
        };
        let mut saved = None;
        if let Some(path) = &recipe.basis {
            let basis = basis::read(path, model)?;
            layer = basis.layer;
            saved = Some((basis.projection, basis.origin));
        }
        let mut pass = layer::layer_pass(layer, recipe.layer.size, model.config.patch_size);
        if recipe.refine {
            // Patches at the border that are half empty have odd components.
            pass.preprocessor.padding = Padding::None;
        }
        Ok(PcaTask {
            mode: InferenceMode::Whole(pass),
            layer,
            context,
            saved_basis: saved,
            adopted_file: None,
            deferred: Mutex::new(DeferredPca {
                tokens: TokenSpool::new(model.config.dim),
                photos: Vec::new(),
                projection: None,
            }),
            model: model.clone(),
            recipe,
        })
    }

    fn deferred(&self) -> MutexGuard<'_, DeferredPca> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all photos have one fit, which is still to be made.
    fn is_joint(&self) -> bool {
        self.saved_basis.is_none() && !self.recipe.fit_each
    }

    fn uses_photo(&self) -> bool {
        self.recipe.side_by_side || self.recipe.overlay.is_some() || self.recipe.refine
    }

    fn fit_options(&self) -> PcaFitOptions {
        PcaFitOptions {
            component_indices: self.recipe.components.iter().map(|n| n - 1).collect(),
            whiten: self.recipe.whiten,
            foreground: self.recipe.foreground,
        }
    }

    fn save_basis(&self, projection: &Projection, words: &Console) -> Result<()> {
        match &self.recipe.save_basis {
            Some(path) => basis::save_basis(path, &self.model, self.layer, projection, words),
            None => Ok(()),
        }
    }

    /// Fits the components to all tokens that wait.
    fn fit_tokens(&self, words: &Console) -> Result<()> {
        let mut waiting = self.deferred();
        let count = waiting.tokens.len();
        let mut watch = Stopwatch::default();
        let options = self.fit_options();
        let projection = watch.time("fit", || fit(&mut waiting.tokens, &options))?;
        words.detail(format_args!("{count} photos: {watch}"));
        self.save_basis(&projection, words)?;
        waiting.projection = Some(projection);
        Ok(())
    }

    /// Projects, renders and writes one photo.
    fn render_photo(
        &self,
        drawn: PcaPhoto<'_>,
        projection: &Projection,
        tokens: &[f32],
        words: &Console,
    ) -> Result<FinishedPhoto> {
        let PcaPhoto {
            job,
            photo,
            geometry,
            mut watch,
        } = drawn;
        let projected = watch.time("project", || projection.project(tokens))?;
        let picture = watch.time("render", || {
            self.render_picture(&projected, projection, geometry, photo)
        })?;
        let announce = !self.context.json;
        let text = [
            ("dino:model", self.model.name.clone()),
            ("dino:layer", self.layer.block.to_string()),
        ];
        watch.time("write", || {
            write_output(words, job.output(PICTURE_EXTENSION), announce, |writer| {
                write_picture(writer, job.format, &picture, &text)
            })?;
            if self.recipe.raw {
                let grid = geometry.grid();
                let shape = [grid.rows, grid.cols, projection.component_indices.len()];
                write_output(words, job.output("npy"), announce, |writer| {
                    write_npy(writer, &shape, &projected.scores)
                })?;
            }
            Ok::<_, Error>(())
        })?;
        words.detail(format_args!("{}: {watch}", job.source.name()));
        words.record_fact("seconds", watch.seconds());
        if self.context.json {
            let object = self.report(job, geometry, &projected, projection, &watch);
            words.out(&object.to_string())?;
        }
        Ok(FinishedPhoto::Written(Outcome::Done))
    }

    fn render_picture(
        &self,
        projected: &ProjectedPatches,
        projection: &Projection,
        geometry: &Geometry,
        photo: Option<&RgbImage>,
    ) -> Result<RgbImage> {
        let upscale = self.recipe.upscale;
        let guide = photo.filter(|_| self.recipe.refine);
        let ranges = &projection.ranges;
        let picture = render::pca::draw_components(projected, ranges, geometry, upscale, guide)?;
        match (photo, self.recipe.overlay) {
            (Some(photo), Some(alpha)) => Ok(overlay(photo, picture, alpha)),
            (Some(photo), None) if self.recipe.side_by_side => side_by_side(photo, &picture),
            (_, _) => Ok(picture),
        }
    }

    /// One JSON object a photo.
    fn report(
        &self,
        job: &OutputJob,
        geometry: &Geometry,
        projected: &ProjectedPatches,
        projection: &Projection,
        watch: &Stopwatch,
    ) -> Value {
        let grid = geometry.grid();
        let foreground = projected.foreground.iter().filter(|is| **is).count();
        let of_shown = |values: &[f64]| {
            let shown = projection.component_indices.iter();
            shown.map(|&index| values[index]).collect::<Vec<_>>()
        };
        let Basis { variances, .. } = &projection.basis;
        let mut object = self.subject().job_line(LineStatus::Done, job);
        let facts = json!({
            "model": self.model.name,
            "layer": self.layer.block,
            "norm": self.layer.norm,
            "photo_size": [geometry.photo.0, geometry.photo.1],
            "input_size": [geometry.padded.0, geometry.padded.1],
            "grid": [grid.rows, grid.cols],
            "components": projection.component_indices.iter().map(|index| index + 1).collect::<Vec<_>>(),
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

impl TaskPredictor for PcaTask {
    fn mode(&self) -> &InferenceMode {
        &self.mode
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        let beside = if self.recipe.side_by_side { 6 } else { 0 };
        pixel_cost(3 + beside + ENCODER_BYTES)(geometry)
    }

    fn needs_photo(&self) -> bool {
        self.uses_photo()
    }

    fn predict(&self, seen: &BackboneOutput) -> Result<TaskOutput> {
        let tokens = layer::layer_tokens(&seen.features, self.layer)?;
        Ok(TaskOutput::Tokens(tokens, seen.features.grid))
    }
}

impl Task for PcaTask {
    fn subject(&self) -> LineSubject {
        self.context.subject("pca")
    }

    fn extensions(&self) -> Vec<&'static str> {
        [PICTURE_EXTENSION]
            .into_iter()
            .chain(self.recipe.raw.then_some("npy"))
            .collect()
    }

    fn photo_selection(&self) -> PhotoSelection {
        match (&self.recipe.save_basis, self.is_joint()) {
            (Some(_), _) => PhotoSelection::All,
            // Photos whose pictures are there take part in the fit, so that a run that is taken up again gives the
            // colours that it would have given at once.
            (None, true) => PhotoSelection::AllOrNone,
            (None, false) => PhotoSelection::Missing,
        }
    }

    fn sibling_extensions(&self) -> &'static [&'static str] {
        &["npy"]
    }

    fn settings(&self, extension: &str) -> Result<OutputSettings> {
        let usual = PcaRecipe::default();
        let mut recipe = PcaRecipe {
            basis: None,
            raw: false,
            ..self.recipe.clone()
        };
        if extension != PICTURE_EXTENSION {
            recipe.upscale = usual.upscale;
            recipe.side_by_side = usual.side_by_side;
            recipe.overlay = usual.overlay;
        }
        let settings = OutputSettings::from_recipe(&recipe)?;
        match (&self.saved_basis, &self.recipe.basis) {
            // One that was adopted is the fit, not a setting.
            (Some((projection, _)), Some(_)) => {
                let bytes = basis::encode_basis(&self.model, self.layer, projection)?;
                Ok(settings.with("basis", Digest::of_bytes(&bytes)))
            }
            _ => Ok(settings),
        }
    }

    fn is_two_pass(&self) -> bool {
        self.is_joint()
    }

    fn fit_bytes(&self) -> Result<Vec<u8>> {
        let projection = self.deferred().projection.clone();
        let projection = projection.ok_or_else(|| Error::Model("nothing was fitted".into()))?;
        basis::encode_basis(&self.model, self.layer, &projection)
    }

    fn adopt_fit(&mut self, path: &Path) -> Result<()> {
        if self.recipe.save_basis.is_some() {
            let why =
                "--save-basis saves a new fit, and --keep-fit makes none; leave one of them out";
            return Err(Error::Usage(why.into()));
        }
        let basis = basis::read(path, &self.model)?;
        self.saved_basis = Some((basis.projection, basis.origin));
        self.adopted_file = Some(path.to_owned());
        Ok(())
    }

    fn input_files(&self) -> Vec<&Path> {
        self.recipe.basis.as_deref().into_iter().collect()
    }

    fn prepare_plan(&mut self, plan: &mut OutputPlan, _: &Console) -> Result<()> {
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
        non_default_settings(&self.recipe)
    }

    fn as_clip_task(&self) -> Option<&dyn ClipTask> {
        Some(self)
    }

    fn attach_backbones(
        &mut self,
        _: &[Backbone],
        record: &ModelRecord,
        _: &Console,
    ) -> Result<()> {
        let origin = self.saved_basis.as_ref().map(|(_, origin)| origin);
        let path = self
            .recipe
            .basis
            .as_deref()
            .or(self.adopted_file.as_deref());
        self.model.set_weights(record, path.zip(origin))
    }

    fn finish_photo(&self, item: PredictedPhoto<'_>, words: &Console) -> Result<FinishedPhoto> {
        let PredictedPhoto {
            job,
            photo,
            geometry,
            output: TaskOutput::Tokens(tokens, grid),
            stamp,
            mut watch,
            is_only,
            ..
        } = item
        else {
            return Err(Error::Model("components are of tokens".into()));
        };
        let wanted = self.uses_photo().then_some(photo);
        if self.is_joint() {
            return Ok(FinishedPhoto::Deferred(Box::new(DeferredPhoto {
                job: job.clone(),
                photo: wanted.filter(|_| is_only).cloned(),
                stamp,
                geometry,
                grid_size: (grid.cols, grid.rows),
                values: tokens,
                samples: Vec::new(),
                room_probability: None,
                watch,
            })));
        }
        let own;
        let projection = match &self.saved_basis {
            Some((projection, _)) => projection,
            None => {
                let mut spool = TokenSpool::new(self.model.config.dim);
                spool.push(grid, &tokens)?;
                own = watch.time("fit", || fit(&mut spool, &self.fit_options()))?;
                self.save_basis(&own, words)?;
                &own
            }
        };
        if job.is_done() {
            return Ok(FinishedPhoto::Written(Outcome::Skipped));
        }
        let drawn = PcaPhoto {
            job,
            photo: wanted,
            geometry: &geometry,
            watch,
        };
        self.render_photo(drawn, projection, &tokens, words)
    }

    fn collect_finished(&self, finished: FinishedPhoto) -> Result<Option<Outcome>> {
        match finished {
            FinishedPhoto::Written(outcome) | FinishedPhoto::Annotated(outcome, _) => {
                Ok(Some(outcome))
            }
            FinishedPhoto::Gathered(_) => Err(unexpected_row_error()),
            FinishedPhoto::Deferred(mut kept) => {
                let mut waiting = self.deferred();
                let (cols, rows) = kept.grid_size;
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
        let count = self.deferred().photos.len();
        if count > 0 {
            self.fit_tokens(words)?;
        }
        Ok(count)
    }

    fn read_deferred(&self, index: usize, job: &OutputJob) -> Result<DeferredPhoto> {
        let mut waiting = self.deferred();
        let values = match job.is_done() {
            true => Vec::new(),
            false => waiting.tokens.read(index)?.1,
        };
        Ok(waiting.photos[index].resume(job, values))
    }

    fn finish_deferred(&self, kept: DeferredPhoto, words: &Console) -> Result<FinishedPhoto> {
        if kept.job.is_done() {
            return Ok(FinishedPhoto::Written(Outcome::Skipped));
        }
        let photo = match (self.uses_photo(), kept.photo) {
            (false, _) => None,
            (true, Some(photo)) => Some(photo),
            (true, None) => Some(
                self.context
                    .decode_again(&kept.job.source, kept.stamp.as_ref())?,
            ),
        };
        let projection = self.deferred().projection.clone();
        let projection = projection.ok_or_else(|| Error::Model("nothing was fitted".into()))?;
        let drawn = PcaPhoto {
            job: &kept.job,
            photo: photo.as_ref(),
            geometry: &kept.geometry,
            watch: kept.watch,
        };
        self.render_photo(drawn, &projection, &kept.values, words)
    }
}

impl ClipTask for PcaTask {
    fn needs_fit_frames(&self) -> bool {
        self.saved_basis.is_none()
    }

    fn add_fit_frame(&self, _: &Geometry, found: TaskOutput) -> Result<()> {
        match found {
            TaskOutput::Tokens(tokens, grid) => self.deferred().tokens.push(grid, &tokens),
            _ => Err(Error::Model("components are of tokens".into())),
        }
    }

    fn fit_frames(&self, words: &Console) -> Result<()> {
        self.fit_tokens(words)
    }

    fn render_frame(
        &self,
        frame: FrameImages<'_>,
        geometry: &Geometry,
        found: TaskOutput,
    ) -> Result<RenderedFrame> {
        let TaskOutput::Tokens(tokens, _) = found else {
            return Err(Error::Model("components are of tokens".into()));
        };
        let fitted;
        let projection = match &self.saved_basis {
            Some((projection, _)) => projection,
            None => {
                fitted = self.deferred().projection.clone();
                fitted
                    .as_ref()
                    .ok_or_else(|| Error::Model("nothing was fitted".into()))?
            }
        };
        let projected = projection.project(&tokens)?;
        let photo = self.uses_photo().then_some(frame.photo);
        Ok(RenderedFrame {
            size: frame.photo.dimensions(),
            picture: self.render_picture(&projected, projection, geometry, photo)?,
            numbers: FrameValues::None,
        })
    }

    fn metadata(&self) -> Map<String, Value> {
        let shown = self.recipe.components.iter();
        Map::from_iter([
            ("model".to_owned(), json!(self.model.name)),
            ("layer".to_owned(), json!(self.layer.block)),
            ("components".to_owned(), json!(shown.collect::<Vec<_>>())),
        ])
    }
}
