//! Both passes of the clusters: tokens are spooled, clustered, and then scored photo by photo.

use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use serde_json::Value;

use super::codebook::{encode_codebook, name_clusters, read_codebook, save_codebook};
use crate::analysis::cluster::{ClusterCount, ClusterFit, Codebook, fit};
use crate::engine::BackboneOutput;
use crate::engine::run_report::Outcome;
use crate::engine::stage_timings::StageTimings;
use crate::error::{Error, Result};
use crate::io::output::{LineSubject, OutputJob, OutputPlan};
use crate::model::backbone::{Backbone, LayerRequest};
use crate::model::input::{Geometry, PatchGrid};
use crate::model::weights::ModelRecord;
use crate::system::files::Digest;
use crate::system::interrupt;
use crate::tasks::backbone_info::BackboneInfo;
use crate::tasks::clip::ClipTask;
use crate::tasks::deferred_tokens::DeferredTokens;
use crate::tasks::inference::inference_mode::InferenceMode;
use crate::tasks::inference::layer;
use crate::tasks::inference::memory_cost::pixel_cost;
use crate::tasks::recipe::ClustersRecipe;
use crate::tasks::segment::{
    DEFAULT_REFINE, LABEL_REVISION, LabelInput, LabelRenderer, SIBLING_EXTENSIONS, label_scores,
    recipe_for_file,
};
use crate::tasks::settings::{OutputSettings, non_default_settings};
use crate::tasks::{
    DeferredPhoto, DocumentFile, FinishedPhoto, PhotoSelection, PredictedPhoto, Task, TaskContext,
    TaskOutput, TaskPredictor,
};
use crate::terminal::console::Console;

/// Labels the pixels of photos with clusters of patch tokens.
pub struct ClustersTask {
    recipe: ClustersRecipe,
    model: BackboneInfo,
    /// The layer whose tokens are clustered: the last block's, or that of a saved codebook.
    layer: LayerRequest,
    mode: InferenceMode,
    context: TaskContext,
    /// Its classes are set once the clusters are known.
    renderer: RwLock<LabelRenderer>,
    pub(super) deferred: DeferredTokens<Codebook>,
}

/// The error for an output other than tokens.
pub(super) fn not_tokens_error() -> Error {
    Error::Model("clusters are of tokens".into())
}

impl ClustersTask {
    /// Clusters of the patch tokens of `model`.
    ///
    /// # Errors
    /// [`Error::Usage`] for options that have no effect together; names a codebook that does not fit the model.
    pub fn new(
        recipe: ClustersRecipe,
        model: &BackboneInfo,
        context: TaskContext,
        console: &Console,
    ) -> Result<Self> {
        let subject = context.subject("clusters");
        let labels = recipe.labels.clone();
        let mut renderer = LabelRenderer::new(labels, subject, context.clone(), console)?;
        let mut layer = LayerRequest {
            block: model.config.depth - 1,
            norm: true,
        };
        let mut saved = None;
        if let Some(path) = &recipe.codebook {
            let (of, codebook) = read_codebook(path, model)?;
            layer = of;
            name_clusters(&mut renderer, &codebook.fit, model, console)?;
            saved = Some(codebook);
        }
        Ok(ClustersTask {
            mode: InferenceMode::Whole(layer::layer_pass(
                layer,
                recipe.size,
                model.config.patch_size,
            )),
            layer,
            context,
            renderer: RwLock::new(renderer),
            deferred: DeferredTokens::new(model.config.dim, saved),
            model: model.clone(),
            recipe,
        })
    }

    /// The renderer, with its classes once the clusters are known.
    pub(super) fn renderer(&self) -> RwLockReadGuard<'_, LabelRenderer> {
        self.renderer.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn renderer_mut(&mut self) -> &mut LabelRenderer {
        self.renderer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether borders are fitted to the photo's edges.
    pub(super) fn refines(&self) -> bool {
        self.recipe.refine.unwrap_or(DEFAULT_REFINE)
    }

    fn is_up_to_date(&self, job: &OutputJob) -> bool {
        job.is_done() && self.renderer().photo_selection() != PhotoSelection::All
    }

    /// Labels, renders and writes one photo by the scores of its clusters.
    fn label_photo(
        &self,
        input: LabelInput<'_>,
        (codebook, tokens, grid): (&Codebook, &[f32], PatchGrid),
        mut timings: StageTimings,
        console: &Console,
    ) -> Result<FinishedPhoto> {
        let scores = codebook.scores(tokens, grid);
        let refines = self.refines();
        let map = label_scores(&scores, input.geometry, input.photo, refines, &mut timings)?;
        self.renderer()
            .render_and_write(input, map, timings, console)
    }

    /// Fits the clusters to all spooled tokens.
    pub(super) fn fit_tokens(&self, console: &Console) -> Result<()> {
        self.deferred.fit_with(|tokens| {
            let photos = tokens.len();
            let count = self.recipe.clusters;
            let mut timings = StageTimings::default();
            let progress = match count {
                ClusterCount::Auto => Some(console.progress(2, "numbers of clusters")),
                ClusterCount::Exactly(_) => None,
            };
            let tick = |done: usize, all: usize| {
                if let Some(progress) = &progress {
                    progress.set_total(all as u64);
                    progress.set(done as u64);
                }
                interrupt::check()
            };
            let fitted = timings.time("fit", || fit(tokens, count, &tick))?;
            drop(progress);
            report_silhouettes(&fitted, console);
            console.detail(format_args!("{photos} photos: {timings}"));
            if let Some(path) = &self.recipe.save_codebook {
                save_codebook(path, &self.model, self.layer, &fitted.codebook, console)?;
            }
            let mut renderer = self
                .renderer
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            name_clusters(&mut renderer, &fitted.codebook, &self.model, console)?;
            Ok(fitted.codebook)
        })
    }
}

/// Reports the silhouettes from which `--clusters auto` chose the number of clusters, and that number.
fn report_silhouettes(fitted: &ClusterFit, console: &Console) {
    for (k, silhouette) in &fitted.silhouettes {
        console.detail(format_args!("{k} clusters: silhouette {silhouette:.3}"));
    }
    if !fitted.silhouettes.is_empty() {
        console.note(format_args!("{} clusters", fitted.codebook.k));
    }
}

impl TaskPredictor for ClustersTask {
    fn mode(&self) -> &InferenceMode {
        &self.mode
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        pixel_cost(self.renderer().bytes_per_pixel())(geometry)
    }

    fn predict(&self, backbone_output: &BackboneOutput) -> Result<TaskOutput> {
        layer::token_output(&backbone_output.features, self.layer)
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
            &self.deferred.saved,
        ) {
            (true, _) => PhotoSelection::All,
            // Photos whose pictures are there take part in the fit, so that a resumed run gives the same clusters as an
            // uninterrupted one.
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
        match (&self.deferred.saved, &self.recipe.codebook) {
            // A codebook of --keep-fit is the run's fit, not a setting.
            (Some(saved), Some(_)) => {
                let bytes = encode_codebook(&self.model, self.layer, &saved.fit)?;
                Ok(settings.with("codebook", Digest::of_bytes(&bytes)))
            }
            _ => Ok(settings),
        }
    }

    fn is_two_pass(&self) -> bool {
        self.deferred.saved.is_none()
    }

    fn fit_bytes(&self) -> Result<Vec<u8>> {
        encode_codebook(&self.model, self.layer, &self.deferred.fitted()?)
    }

    fn adopt_fit(&mut self, path: &Path) -> Result<()> {
        if self.recipe.save_codebook.is_some() {
            let why = "--save-codebook saves new clusters, and --keep-fit makes none; leave one of them out";
            return Err(Error::Usage(why.into()));
        }
        let (layer, saved) = read_codebook(path, &self.model)?;
        self.layer = layer;
        let model = self.model.clone();
        let quiet = Console::new(true, false);
        name_clusters(self.renderer_mut(), &saved.fit, &model, &quiet)?;
        self.deferred.saved = Some(saved);
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
        self.renderer_mut().prepare_plan(plan, console)
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
        self.deferred.set_weights(&mut self.model, record)
    }

    fn finish_photo(&self, item: PredictedPhoto<'_>, console: &Console) -> Result<FinishedPhoto> {
        let PredictedPhoto {
            job,
            photo,
            geometry,
            output: TaskOutput::Tokens(tokens, grid),
            stamp,
            timings,
            is_only,
            ..
        } = item
        else {
            return Err(not_tokens_error());
        };
        match &self.deferred.saved {
            Some(saved) => {
                let input = LabelInput {
                    job,
                    photo,
                    stamp: stamp.as_ref(),
                    geometry: &geometry,
                };
                self.label_photo(input, (&saved.fit, &tokens, grid), timings, console)
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
                timings,
            }))),
        }
    }

    fn collect_finished(&self, finished: FinishedPhoto) -> Result<Option<Outcome>> {
        match finished {
            FinishedPhoto::Deferred(photo) => {
                self.deferred.push_photo(*photo)?;
                Ok(None)
            }
            finished => self.renderer().collect_finished(finished),
        }
    }

    fn fit(&self, console: &Console) -> Result<usize> {
        let photos = self.deferred.photo_count();
        if photos > 0 {
            self.fit_tokens(console)?;
        }
        Ok(photos)
    }

    fn read_deferred(&self, index: usize, job: &OutputJob) -> Result<DeferredPhoto> {
        self.deferred.read(index, job, self.is_up_to_date(job))
    }

    fn finish_deferred(&self, kept: DeferredPhoto, console: &Console) -> Result<FinishedPhoto> {
        if self.is_up_to_date(&kept.job) {
            return Ok(FinishedPhoto::Written(Outcome::Skipped));
        }
        let photo = match kept.photo {
            Some(photo) => photo,
            None => self
                .context
                .decode_again(&kept.job.source, kept.stamp.as_ref())?,
        };
        let codebook = self.deferred.fitted()?;
        let (cols, rows) = kept.grid_size;
        let input = LabelInput {
            job: &kept.job,
            photo: &photo,
            stamp: kept.stamp.as_ref(),
            geometry: &kept.geometry,
        };
        let clustered = (&codebook, kept.values.as_slice(), PatchGrid { rows, cols });
        self.label_photo(input, clustered, kept.timings, console)
    }

    fn document(&self) -> Option<DocumentFile> {
        self.renderer().document()
    }

    fn write_document(&self, console: &Console) -> Result<()> {
        self.renderer().write_document(console)
    }
}
