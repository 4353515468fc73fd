//! Parts without a head: clusters of the last block's patch tokens, drawn as labels are.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use serde_json::{Map, Value};

use crate::analysis::cluster::file::{CodebookInfo, from_bytes, to_bytes};
use crate::analysis::cluster::{ClusterCount, ClusterFit, Codebook, fit};
use crate::analysis::pca::TokenSpool;
use crate::engine::BackboneOutput;
use crate::engine::run_report::Outcome;
use crate::engine::stopwatch::Stopwatch;
use crate::error::{Error, Result};
use crate::io::output::{Destination, LineSubject, OutputJob, OutputPlan, write_output};
use crate::model::backbone::{Backbone, LayerRequest};
use crate::model::head::{Class, Scores};
use crate::model::input::{Geometry, Grid};
use crate::model::weights::ModelRecord;
use crate::system::files::Digest;
use crate::system::interrupt;
use crate::tasks::backbone_info::{BackboneInfo, FitOrigin};
use crate::tasks::clip::{ClipTask, FrameImages, RenderedFrame, Smoothing, ValueVideo};
use crate::tasks::inference_mode::InferenceMode;
use crate::tasks::memory_cost::pixel_cost;
use crate::tasks::recipe::ClustersRecipe;
use crate::tasks::segment::renderer::{self, LabelRenderer};
use crate::tasks::segment::{
    DEFAULT_REFINE, LABEL_REVISION, SIBLING_EXTENSIONS, label_scores, recipe_for_file,
};
use crate::tasks::settings::{OutputSettings, non_default_settings};
use crate::tasks::{
    DeferredPhoto, DocumentFile, FinishedPhoto, PhotoSelection, PredictedPhoto, Task, TaskContext,
    TaskOutput, TaskPredictor, layer, unexpected_row_error,
};
use crate::terminal::console::Console;
use crate::vision::render::palette;

/// Labels photos with clusters.
pub struct ClustersTask {
    recipe: ClustersRecipe,
    model: BackboneInfo,
    layer: LayerRequest,
    mode: InferenceMode,
    context: TaskContext,
    /// Names its labels once the clusters are known.
    renderer: RwLock<LabelRenderer>,
    /// That of a file, and what it was fitted to.
    saved_codebook: Option<(Codebook, FitOrigin)>,
    /// The file that it was adopted from.
    adopted_file: Option<PathBuf>,
    deferred: Mutex<DeferredClusters>,
}

/// The photos between the passes.
struct DeferredClusters {
    tokens: TokenSpool,
    photos: Vec<DeferredPhoto>,
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
        model: &BackboneInfo,
        context: TaskContext,
        console: &Console,
    ) -> Result<Self> {
        let subject = context.subject("clusters");
        let labels = recipe.labels.clone();
        let mut painter = LabelRenderer::new(labels, subject, context.clone(), console)?;
        // The last block, as its final norm leaves it.
        let mut layer = LayerRequest {
            block: model.config.depth - 1,
            norm: true,
        };
        let mut saved = None;
        if let Some(path) = &recipe.codebook {
            let (of, codebook, origin) = read_codebook(path, model)?;
            layer = of;
            name_clusters(&mut painter, &codebook, model, console)?;
            saved = Some((codebook, origin));
        }
        Ok(ClustersTask {
            mode: InferenceMode::Whole(layer::layer_pass(
                layer,
                recipe.size,
                model.config.patch_size,
            )),
            layer,
            context,
            renderer: RwLock::new(painter),
            saved_codebook: saved,
            adopted_file: None,
            deferred: Mutex::new(DeferredClusters {
                tokens: TokenSpool::new(model.config.dim),
                photos: Vec::new(),
                codebook: None,
            }),
            model: model.clone(),
            recipe,
        })
    }

    fn deferred(&self) -> MutexGuard<'_, DeferredClusters> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renderer(&self) -> std::sync::RwLockReadGuard<'_, LabelRenderer> {
        self.renderer.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_up_to_date(&self, job: &OutputJob) -> bool {
        job.is_done() && self.renderer().photo_selection() != PhotoSelection::All
    }

    /// Labels, draws and writes one photo.
    fn label_photo(
        &self,
        seen: renderer::LabelInput<'_>,
        scores: &Scores,
        mut watch: Stopwatch,
        words: &Console,
    ) -> Result<FinishedPhoto> {
        let refines = self.recipe.refine.unwrap_or(DEFAULT_REFINE);
        let map = label_scores(scores, seen.geometry, seen.photo, refines, &mut watch)?;
        self.renderer().render_and_write(seen, map, watch, words)
    }

    /// Fits the clusters to all tokens that wait.
    fn fit_tokens(&self, words: &Console) -> Result<()> {
        let mut waiting = self.deferred();
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
        Self::report_silhouettes(&fitted, words);
        words.detail(format_args!("{photos} photos: {watch}"));
        self.save_codebook(&fitted.codebook, words)?;
        let mut painter = self
            .renderer
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        name_clusters(&mut painter, &fitted.codebook, &self.model, words)?;
        waiting.codebook = Some(fitted.codebook);
        Ok(())
    }

    /// Says what `auto` came to.
    fn report_silhouettes(fitted: &ClusterFit, words: &Console) {
        for (k, silhouette) in &fitted.silhouettes {
            words.detail(format_args!("{k} clusters: silhouette {silhouette:.3}"));
        }
        if !fitted.silhouettes.is_empty() {
            words.note(format_args!("{} clusters", fitted.codebook.k));
        }
    }

    /// A codebook as a file holds it.
    fn encode_codebook(&self, codebook: &Codebook) -> Result<Vec<u8>> {
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
    fn save_codebook(&self, codebook: &Codebook, words: &Console) -> Result<()> {
        let Some(path) = &self.recipe.save_codebook else {
            return Ok(());
        };
        let bytes = self.encode_codebook(codebook)?;
        let destination = Destination::of_flag(path)?;
        write_output(words, &destination, true, |writer| writer.write_all(&bytes))
    }
}

impl TaskPredictor for ClustersTask {
    fn mode(&self) -> &InferenceMode {
        &self.mode
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        pixel_cost(self.renderer().bytes_per_pixel())(geometry)
    }

    fn predict(&self, seen: &BackboneOutput) -> Result<TaskOutput> {
        let tokens = layer::layer_tokens(&seen.features, self.layer)?;
        Ok(TaskOutput::Tokens(tokens, seen.features.grid))
    }
}

impl Task for ClustersTask {
    fn subject(&self) -> LineSubject {
        self.context.subject("clusters")
    }

    fn extensions(&self) -> Vec<&'static str> {
        self.renderer().extensions()
    }

    fn photo_selection(&self) -> PhotoSelection {
        let wants_all = self.renderer().photo_selection() == PhotoSelection::All;
        match (
            wants_all || self.recipe.save_codebook.is_some(),
            &self.saved_codebook,
        ) {
            (true, _) => PhotoSelection::All,
            // Photos whose pictures are there take part in the fit, so that a run that is taken up again gives the
            // clusters that it would have given at once.
            (false, None) => PhotoSelection::AllOrNone,
            (false, Some(_)) => PhotoSelection::Missing,
        }
    }

    fn sibling_extensions(&self) -> &'static [&'static str] {
        SIBLING_EXTENSIONS
    }

    fn settings(&self, extension: &str) -> Result<OutputSettings> {
        let recipe = ClustersRecipe {
            codebook: None,
            labels: recipe_for_file(&self.recipe.labels, extension),
            ..self.recipe.clone()
        };
        let font = recipe
            .labels
            .font
            .as_ref()
            .and(self.recipe.labels.font.as_deref());
        let settings = OutputSettings::from_recipe(&recipe)?
            .with_revision(LABEL_REVISION)
            .with_font(font);
        match (&self.saved_codebook, &self.recipe.codebook) {
            // One that was adopted is the fit, not a setting.
            (Some((codebook, _)), Some(_)) => Ok(settings.with(
                "codebook",
                Digest::of_bytes(&self.encode_codebook(codebook)?),
            )),
            _ => Ok(settings),
        }
    }

    fn is_two_pass(&self) -> bool {
        self.saved_codebook.is_none()
    }

    fn fit_bytes(&self) -> Result<Vec<u8>> {
        let codebook = self.deferred().codebook.clone();
        let codebook = codebook.ok_or_else(|| Error::Model("nothing was fitted".into()))?;
        self.encode_codebook(&codebook)
    }

    fn adopt_fit(&mut self, path: &Path) -> Result<()> {
        if self.recipe.save_codebook.is_some() {
            let why = "--save-codebook saves new clusters, and --keep-fit makes none; leave one of them out";
            return Err(Error::Usage(why.into()));
        }
        let (layer, codebook, origin) = read_codebook(path, &self.model)?;
        self.layer = layer;
        let painter = self
            .renderer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        name_clusters(painter, &codebook, &self.model, &Console::new(true, false))?;
        self.saved_codebook = Some((codebook, origin));
        self.adopted_file = Some(path.to_owned());
        Ok(())
    }

    fn input_files(&self) -> Vec<&Path> {
        let font = self.recipe.labels.font.as_deref();
        font.into_iter()
            .chain(self.recipe.codebook.as_deref())
            .collect()
    }

    fn prepare_plan(&mut self, plan: &mut OutputPlan, console: &Console) -> Result<()> {
        if let Some(path) = &self.recipe.save_codebook {
            plan.add_flag("--save-codebook", path, self.context.force)?;
        }
        let painter = self
            .renderer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        painter.prepare_plan(plan, console)
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
        let origin = self.saved_codebook.as_ref().map(|(_, origin)| origin);
        let path = self
            .recipe
            .codebook
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
            watch,
            is_only,
            ..
        } = item
        else {
            return Err(Error::Model("clusters are of tokens".into()));
        };
        match &self.saved_codebook {
            Some((codebook, _)) => {
                let scores = codebook.scores(&tokens, grid);
                let seen = renderer::LabelInput {
                    job,
                    photo,
                    stamp: stamp.as_ref(),
                    geometry: &geometry,
                };
                self.label_photo(seen, &scores, watch, words)
            }
            None => Ok(FinishedPhoto::Deferred(Box::new(DeferredPhoto {
                job: job.clone(),
                photo: is_only.then(|| photo.clone()),
                stamp,
                geometry,
                grid_size: (grid.cols, grid.rows),
                values: tokens,
                samples: Vec::new(),
                room_probability: None,
                watch,
            }))),
        }
    }

    fn collect_finished(&self, finished: FinishedPhoto) -> Result<Option<Outcome>> {
        match finished {
            FinishedPhoto::Gathered(_) => Err(unexpected_row_error()),
            FinishedPhoto::Deferred(mut kept) => {
                let mut waiting = self.deferred();
                let (cols, rows) = kept.grid_size;
                let tokens = std::mem::take(&mut kept.values);
                waiting.tokens.push(Grid { rows, cols }, &tokens)?;
                waiting.photos.push(*kept);
                Ok(None)
            }
            finished => self.renderer().collect_finished(finished),
        }
    }

    fn fit(&self, words: &Console) -> Result<usize> {
        let photos = self.deferred().photos.len();
        if photos > 0 {
            self.fit_tokens(words)?;
        }
        Ok(photos)
    }

    fn read_deferred(&self, index: usize, job: &OutputJob) -> Result<DeferredPhoto> {
        let mut waiting = self.deferred();
        let values = match self.is_up_to_date(job) {
            true => Vec::new(),
            false => waiting.tokens.read(index)?.1,
        };
        Ok(waiting.photos[index].resume(job, values))
    }

    fn finish_deferred(&self, kept: DeferredPhoto, words: &Console) -> Result<FinishedPhoto> {
        if self.is_up_to_date(&kept.job) {
            return Ok(FinishedPhoto::Written(Outcome::Skipped));
        }
        let photo = match kept.photo {
            Some(photo) => photo,
            None => self
                .context
                .decode_again(&kept.job.source, kept.stamp.as_ref())?,
        };
        let codebook = self.deferred().codebook.clone();
        let codebook = codebook.ok_or_else(|| Error::Model("nothing was fitted".into()))?;
        let (cols, rows) = kept.grid_size;
        let scores = codebook.scores(&kept.values, Grid { rows, cols });
        let seen = renderer::LabelInput {
            job: &kept.job,
            photo: &photo,
            stamp: kept.stamp.as_ref(),
            geometry: &kept.geometry,
        };
        self.label_photo(seen, &scores, kept.watch, words)
    }

    fn document(&self) -> Option<DocumentFile> {
        self.renderer().document()
    }

    fn write_document(&self, words: &Console) -> Result<()> {
        self.renderer().write_document(words)
    }
}

impl ClipTask for ClustersTask {
    fn needs_fit_frames(&self) -> bool {
        self.saved_codebook.is_none()
    }

    fn is_guided(&self) -> bool {
        true
    }

    fn default_smoothing(&self) -> Smoothing {
        Smoothing::ByChange
    }

    fn add_fit_frame(&self, _: &Geometry, found: TaskOutput) -> Result<()> {
        match found {
            TaskOutput::Tokens(tokens, grid) => self.deferred().tokens.push(grid, &tokens),
            _ => Err(Error::Model("clusters are of tokens".into())),
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
        let TaskOutput::Tokens(tokens, grid) = found else {
            return Err(Error::Model("clusters are of tokens".into()));
        };
        let fitted;
        let codebook = match &self.saved_codebook {
            Some((codebook, _)) => codebook,
            None => {
                fitted = self.deferred().codebook.clone();
                fitted
                    .as_ref()
                    .ok_or_else(|| Error::Model("nothing was fitted".into()))?
            }
        };
        let scores = codebook.scores(&tokens, grid);
        let refines = self.recipe.refine.unwrap_or(DEFAULT_REFINE);
        let map = label_scores(
            &scores,
            geometry,
            frame.guide,
            refines,
            &mut Stopwatch::default(),
        )?;
        self.renderer().render_frame(frame.photo, map)
    }

    fn value_extensions(&self) -> Vec<&'static str> {
        self.renderer().value_extensions()
    }

    fn write_values(
        &self,
        extension: &str,
        writer: &mut dyn Write,
        frame: &RenderedFrame,
    ) -> io::Result<usize> {
        self.renderer()
            .write_values(extension, writer, frame)
            .map(|()| 0)
    }

    fn value_video(&self) -> Option<ValueVideo> {
        self.renderer().value_video()
    }

    fn encode_values(&self, frame: &RenderedFrame) -> (Vec<u8>, usize) {
        (self.renderer().encode_values(frame), 0)
    }

    fn metadata(&self) -> Map<String, Value> {
        self.renderer().metadata()
    }
}

/// Tells the painter what the clusters are called: their numbers, from 1.
fn name_clusters(
    painter: &mut LabelRenderer,
    codebook: &Codebook,
    model: &BackboneInfo,
    words: &Console,
) -> Result<()> {
    let colors = palette::distinct_colors(codebook.k);
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
    painter.set_classes(classes, &of, made_by, words)
}

/// Reads the codebook at `path`, which must have been fitted with the weights of `model`.
fn read_codebook(path: &Path, model: &BackboneInfo) -> Result<(LayerRequest, Codebook, FitOrigin)> {
    let bytes = crate::system::files::pipe::read_whole(path)?;
    let (info, codebook) = from_bytes(&bytes).map_err(|why| Error::file(path, why))?;
    let origin = FitOrigin {
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
