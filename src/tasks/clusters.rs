//! Parts without a head: clusters of the last block's patch tokens, drawn as labels are.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use serde_json::{Map, Value};

use crate::analysis::cluster::file::{CodebookInfo, from_bytes, to_bytes};
use crate::analysis::cluster::{ClusterCount, Codebook, Fitted, fit};
use crate::analysis::pca::TokenSpool;
use crate::engine::Seen;
use crate::engine::outcomes::Outcome;
use crate::engine::stopwatch::Stopwatch;
use crate::error::{Error, Result};
use crate::io::output::{Destination, Job, Plan, Subject, deliver};
use crate::model::backbone::{Backbone, LayerRequest};
use crate::model::head::{Class, Scores};
use crate::model::input::Geometry;
use crate::model::input::Grid;
use crate::model::weights::Record;
use crate::system::files::Digest;
use crate::system::interrupt;
use crate::tasks::clip::{ClipTask, DrawnFrame, NumberFilm, ShownFrame, Smoothing};
use crate::tasks::costs::per_pixel;
use crate::tasks::known::{KnownModel, Origin};
use crate::tasks::recipe::ClustersRecipe;
use crate::tasks::segment::painter::{self, LabelPainter};
use crate::tasks::segment::{REFINE, REVISION, SIBLINGS, label, recipe_of};
use crate::tasks::settings::{Settings, unusual};
use crate::tasks::way::Way;
use crate::tasks::{
    Context, Document, Finder, Finished, Found, Item, Kept, Task, Which, layer, not_gathered,
};
use crate::terminal::console::Console;
use crate::vision::render::palette;

/// Labels photos with clusters.
pub struct ClustersTask {
    recipe: ClustersRecipe,
    model: KnownModel,
    layer: LayerRequest,
    way: Way,
    context: Context,
    /// Names its labels once the clusters are known.
    painter: RwLock<LabelPainter>,
    /// That of a file, and what it was fitted to.
    saved: Option<(Codebook, Origin)>,
    /// The file that it was adopted from.
    adopted: Option<PathBuf>,
    waiting: Mutex<Waiting>,
}

/// The photos between the passes.
struct Waiting {
    tokens: TokenSpool,
    photos: Vec<Kept>,
    /// Of all of them.
    codebook: Option<Codebook>,
}

impl ClustersTask {
    /// Of the tokens of `model`.
    ///
    /// # Errors
    /// [`Error::Usage`] for wishes that would come to nothing; names a codebook that does not fit the model.
    pub fn new(
        recipe: ClustersRecipe,
        model: &KnownModel,
        context: Context,
        console: &Console,
    ) -> Result<Self> {
        let subject = context.subject("clusters");
        let labels = recipe.labels.clone();
        let mut painter = LabelPainter::new(labels, subject, context.clone(), console)?;
        // The last block, as its final norm leaves it.
        let mut layer = LayerRequest {
            block: model.config.depth - 1,
            norm: true,
        };
        let mut saved = None;
        if let Some(path) = &recipe.codebook {
            let (of, codebook, origin) = read(path, model)?;
            layer = of;
            name_clusters(&mut painter, &codebook, model, console)?;
            saved = Some((codebook, origin));
        }
        Ok(ClustersTask {
            way: Way::AtOnce(layer::pass(layer, recipe.size, model.config.patch_size)),
            layer,
            context,
            painter: RwLock::new(painter),
            saved,
            adopted: None,
            waiting: Mutex::new(Waiting {
                tokens: TokenSpool::new(model.config.dim),
                photos: Vec::new(),
                codebook: None,
            }),
            model: model.clone(),
            recipe,
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn painter(&self) -> std::sync::RwLockReadGuard<'_, LabelPainter> {
        self.painter.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_kept(&self, job: &Job) -> bool {
        job.is_done() && self.painter().which() != Which::All
    }

    /// Labels, draws and writes one photo.
    fn label(
        &self,
        seen: painter::Seen<'_>,
        scores: &Scores,
        mut watch: Stopwatch,
        words: &Console,
    ) -> Result<Finished> {
        let refines = self.recipe.refine.unwrap_or(REFINE);
        let map = label(scores, seen.geometry, seen.photo, refines, &mut watch)?;
        self.painter().deliver(seen, map, watch, words)
    }

    /// Fits the clusters to all tokens that wait.
    fn fit_tokens(&self, words: &Console) -> Result<()> {
        let mut waiting = self.waiting();
        let photos = waiting.tokens.len();
        let count = self.recipe.clusters;
        let mut watch = Stopwatch::default();
        let progress = match count {
            ClusterCount::Auto => Some(words.progress(2, "numbers of clusters")),
            ClusterCount::Exactly(_) => None,
        };
        let tick = |done: usize, all: usize| {
            if let Some(progress) = &progress {
                progress.set_total(all as u64);
                progress.set(done as u64);
            }
            interrupt::check()
        };
        let fitted = watch.time("fit", || fit(&mut waiting.tokens, count, &tick))?;
        drop(progress);
        Self::explain(&fitted, words);
        words.detail(format_args!("{photos} photos: {watch}"));
        self.save(&fitted.codebook, words)?;
        let mut painter = self.painter.write().unwrap_or_else(PoisonError::into_inner);
        name_clusters(&mut painter, &fitted.codebook, &self.model, words)?;
        waiting.codebook = Some(fitted.codebook);
        Ok(())
    }

    /// Says what `auto` came to.
    fn explain(fitted: &Fitted, words: &Console) {
        for (k, silhouette) in &fitted.silhouettes {
            words.detail(format_args!("{k} clusters: silhouette {silhouette:.3}"));
        }
        if !fitted.silhouettes.is_empty() {
            words.note(format_args!("{} clusters", fitted.codebook.k));
        }
    }

    /// A codebook as a file holds it.
    fn bytes_of(&self, codebook: &Codebook) -> Result<Vec<u8>> {
        let info = CodebookInfo {
            format: 1,
            model: self.model.name.clone(),
            fingerprint: self.model.fingerprint.clone().unwrap_or_default(),
            block: self.layer.block,
            norm: self.layer.norm,
        };
        to_bytes(&info, codebook)
    }

    /// Writes the file of `--save-codebook`, if that is asked for.
    fn save(&self, codebook: &Codebook, words: &Console) -> Result<()> {
        let Some(path) = &self.recipe.save_codebook else {
            return Ok(());
        };
        let bytes = self.bytes_of(codebook)?;
        let destination = Destination::of_flag(path)?;
        deliver(words, &destination, true, |writer| writer.write_all(&bytes))
    }
}

impl Finder for ClustersTask {
    fn way(&self) -> &Way {
        &self.way
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        per_pixel(self.painter().bytes_per_pixel())(geometry)
    }

    fn find(&self, seen: &Seen) -> Result<Found> {
        let tokens = layer::tokens(&seen.features, self.layer)?;
        Ok(Found::Tokens(tokens, seen.features.grid))
    }
}

impl Task for ClustersTask {
    fn subject(&self) -> Subject {
        self.context.subject("clusters")
    }

    fn extensions(&self) -> Vec<&'static str> {
        self.painter().extensions()
    }

    fn which(&self) -> Which {
        let wants_all = self.painter().which() == Which::All;
        match (
            wants_all || self.recipe.save_codebook.is_some(),
            &self.saved,
        ) {
            (true, _) => Which::All,
            // Photos whose pictures are there take part in the fit, so that a run that is taken up again gives the
            // clusters that it would have given at once.
            (false, None) => Which::AllOrNone,
            (false, Some(_)) => Which::Missing,
        }
    }

    fn siblings(&self) -> &'static [&'static str] {
        SIBLINGS
    }

    fn settings(&self, extension: &str) -> Result<Settings> {
        let recipe = ClustersRecipe {
            codebook: None,
            labels: recipe_of(&self.recipe.labels, extension),
            ..self.recipe.clone()
        };
        let font = recipe
            .labels
            .font
            .as_ref()
            .and(self.recipe.labels.font.as_deref());
        let settings = Settings::of(&recipe)?
            .with_revision(REVISION)
            .with_font(font);
        match (&self.saved, &self.recipe.codebook) {
            // One that was adopted is the fit, not a setting.
            (Some((codebook, _)), Some(_)) => {
                Ok(settings.with("codebook", Digest::of_bytes(&self.bytes_of(codebook)?)))
            }
            _ => Ok(settings),
        }
    }

    fn waits(&self) -> bool {
        self.saved.is_none()
    }

    fn fit_bytes(&self) -> Result<Vec<u8>> {
        let codebook = self.waiting().codebook.clone();
        let codebook = codebook.ok_or_else(|| Error::Model("nothing was fitted".into()))?;
        self.bytes_of(&codebook)
    }

    fn adopt_fit(&mut self, path: &Path) -> Result<()> {
        if self.recipe.save_codebook.is_some() {
            let why = "--save-codebook saves new clusters, and --keep-fit makes none; leave one of them out";
            return Err(Error::Usage(why.into()));
        }
        let (layer, codebook, origin) = read(path, &self.model)?;
        self.layer = layer;
        let painter = self
            .painter
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        name_clusters(painter, &codebook, &self.model, &Console::new(true, false))?;
        self.saved = Some((codebook, origin));
        self.adopted = Some(path.to_owned());
        Ok(())
    }

    fn reads(&self) -> Vec<&Path> {
        let font = self.recipe.labels.font.as_deref();
        font.into_iter()
            .chain(self.recipe.codebook.as_deref())
            .collect()
    }

    fn begin(&mut self, plan: &mut Plan, console: &Console) -> Result<()> {
        if let Some(path) = &self.recipe.save_codebook {
            plan.add_flag("--save-codebook", path, self.context.force)?;
        }
        let painter = self
            .painter
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        painter.begin(plan, console)
    }

    fn parameters(&self) -> Value {
        unusual(&self.recipe)
    }

    fn as_clip_task(&self) -> Option<&dyn ClipTask> {
        Some(self)
    }

    fn meet(&mut self, _: &[Backbone], record: &Record, _: &Console) -> Result<()> {
        let origin = self.saved.as_ref().map(|(_, origin)| origin);
        let path = self.recipe.codebook.as_deref().or(self.adopted.as_deref());
        self.model.meet(record, path.zip(origin))
    }

    fn finish(&self, item: Item<'_>, words: &Console) -> Result<Finished> {
        let Item {
            job,
            photo,
            geometry,
            found: Found::Tokens(tokens, grid),
            stamp,
            watch,
            is_only,
            ..
        } = item
        else {
            return Err(Error::Model("clusters are of tokens".into()));
        };
        match &self.saved {
            Some((codebook, _)) => {
                let scores = codebook.scores(&tokens, grid);
                let seen = painter::Seen {
                    job,
                    photo,
                    stamp: stamp.as_ref(),
                    geometry: &geometry,
                };
                self.label(seen, &scores, watch, words)
            }
            None => Ok(Finished::Kept(Box::new(Kept {
                job: job.clone(),
                photo: is_only.then(|| photo.clone()),
                stamp,
                geometry,
                size: (grid.cols, grid.rows),
                values: tokens,
                samples: Vec::new(),
                room: None,
                watch,
            }))),
        }
    }

    fn take(&self, finished: Finished) -> Result<Option<Outcome>> {
        match finished {
            Finished::Gathered(_) => Err(not_gathered()),
            Finished::Kept(mut kept) => {
                let mut waiting = self.waiting();
                let (cols, rows) = kept.size;
                let tokens = std::mem::take(&mut kept.values);
                waiting.tokens.push(Grid { rows, cols }, &tokens)?;
                waiting.photos.push(*kept);
                Ok(None)
            }
            finished => self.painter().take(finished),
        }
    }

    fn fit(&self, words: &Console) -> Result<usize> {
        let photos = self.waiting().photos.len();
        if photos > 0 {
            self.fit_tokens(words)?;
        }
        Ok(photos)
    }

    fn kept(&self, index: usize, job: &Job) -> Result<Kept> {
        let mut waiting = self.waiting();
        let values = match self.is_kept(job) {
            true => Vec::new(),
            false => waiting.tokens.read(index)?.1,
        };
        Ok(waiting.photos[index].taken_up(job, values))
    }

    fn finish_kept(&self, kept: Kept, words: &Console) -> Result<Finished> {
        if self.is_kept(&kept.job) {
            return Ok(Finished::Written(Outcome::Skipped));
        }
        let photo = match kept.photo {
            Some(photo) => photo,
            None => self
                .context
                .decode_again(&kept.job.source, kept.stamp.as_ref())?,
        };
        let codebook = self.waiting().codebook.clone();
        let codebook = codebook.ok_or_else(|| Error::Model("nothing was fitted".into()))?;
        let (cols, rows) = kept.size;
        let scores = codebook.scores(&kept.values, Grid { rows, cols });
        let seen = painter::Seen {
            job: &kept.job,
            photo: &photo,
            stamp: kept.stamp.as_ref(),
            geometry: &kept.geometry,
        };
        self.label(seen, &scores, kept.watch, words)
    }

    fn document(&self) -> Option<Document> {
        self.painter().document()
    }

    fn conclude(&self, words: &Console) -> Result<()> {
        self.painter().conclude(words)
    }
}

impl ClipTask for ClustersTask {
    fn looks_first(&self) -> bool {
        self.saved.is_none()
    }

    fn is_guided(&self) -> bool {
        true
    }

    fn usual_smoothing(&self) -> Smoothing {
        Smoothing::ByChange
    }

    fn look(&self, _: &Geometry, found: Found) -> Result<()> {
        match found {
            Found::Tokens(tokens, grid) => self.waiting().tokens.push(grid, &tokens),
            _ => Err(Error::Model("clusters are of tokens".into())),
        }
    }

    fn settle(&self, words: &Console) -> Result<()> {
        self.fit_tokens(words)
    }

    fn draw(&self, frame: ShownFrame<'_>, geometry: &Geometry, found: Found) -> Result<DrawnFrame> {
        let Found::Tokens(tokens, grid) = found else {
            return Err(Error::Model("clusters are of tokens".into()));
        };
        let fitted;
        let codebook = match &self.saved {
            Some((codebook, _)) => codebook,
            None => {
                fitted = self.waiting().codebook.clone();
                fitted
                    .as_ref()
                    .ok_or_else(|| Error::Model("nothing was fitted".into()))?
            }
        };
        let scores = codebook.scores(&tokens, grid);
        let refines = self.recipe.refine.unwrap_or(REFINE);
        let map = label(
            &scores,
            geometry,
            frame.guide,
            refines,
            &mut Stopwatch::default(),
        )?;
        self.painter().frame(frame.photo, map)
    }

    fn number_files(&self) -> Vec<&'static str> {
        self.painter().number_files()
    }

    fn write_numbers(
        &self,
        extension: &str,
        writer: &mut dyn Write,
        frame: &DrawnFrame,
    ) -> io::Result<usize> {
        self.painter()
            .write_numbers(extension, writer, frame)
            .map(|()| 0)
    }

    fn number_film(&self) -> Option<NumberFilm> {
        self.painter().number_film()
    }

    fn film_numbers(&self, frame: &DrawnFrame) -> (Vec<u8>, usize) {
        (self.painter().film_numbers(frame), 0)
    }

    fn facts(&self) -> Map<String, Value> {
        self.painter().facts()
    }
}

/// Tells the painter what the clusters are called: their numbers, from 1.
fn name_clusters(
    painter: &mut LabelPainter,
    codebook: &Codebook,
    model: &KnownModel,
    words: &Console,
) -> Result<()> {
    let colors = palette::distinct(codebook.k);
    let classes: Vec<Class> = (1..)
        .zip(colors)
        .map(|(number, color): (usize, _)| Class {
            name: number.to_string(),
            color,
        })
        .collect();
    let of = format!("a codebook of {} clusters", codebook.k);
    let made_by = vec![
        ("model", model.name.clone()),
        ("clusters", codebook.k.to_string()),
    ];
    painter.name_labels(classes, &of, made_by, words)
}

/// Reads the codebook at `path`, which must have been fitted with the weights of `model`.
fn read(path: &Path, model: &KnownModel) -> Result<(LayerRequest, Codebook, Origin)> {
    let bytes = crate::system::files::pipe::read_whole(path)?;
    let (info, codebook) = from_bytes(&bytes).map_err(|why| Error::file(path, why))?;
    let origin = Origin {
        model: info.model,
        fingerprint: info.fingerprint,
    };
    model.check_origin(path, &origin)?;
    if info.block >= model.config.depth || codebook.dim() != model.config.dim {
        return Err(Error::file(
            path,
            "does not fit the model that it names; make it again with --save-codebook",
        ));
    }
    let layer = LayerRequest {
        block: info.block,
        norm: info.norm,
    };
    Ok((layer, codebook, origin))
}
