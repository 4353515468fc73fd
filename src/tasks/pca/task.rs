//! Both passes of the components: tokens are spooled, fitted, and then projected photo by photo.

use std::path::Path;

use image::RgbImage;
use serde_json::Value;

use super::basis;
use crate::analysis::pca::{PcaFitOptions, Projection, TokenSpool, fit};
use crate::engine::BackboneOutput;
use crate::engine::run_report::Outcome;
use crate::engine::stage_timings::StageTimings;
use crate::error::{Error, Result};
use crate::io::output::{LineSubject, OutputJob, OutputPlan, PICTURE_EXTENSION};
use crate::model::backbone::{Backbone, LayerRequest};
use crate::model::input::{Geometry, Padding};
use crate::model::weights::ModelRecord;
use crate::system::files::Digest;
use crate::tasks::backbone_info::BackboneInfo;
use crate::tasks::clip::ClipTask;
use crate::tasks::deferred_tokens::DeferredTokens;
use crate::tasks::inference::inference_mode::InferenceMode;
use crate::tasks::inference::memory_cost::{ENCODER_BYTES, pixel_cost};
use crate::tasks::recipe::PcaRecipe;
use crate::tasks::settings::{OutputSettings, non_default_settings};
use crate::tasks::{
    DeferredPhoto, FinishedPhoto, PhotoSelection, PredictedPhoto, Task, TaskContext, TaskOutput,
    TaskPredictor, layer, unexpected_row_error,
};
use crate::terminal::console::Console;

/// Renders photos by the principal components of their patch tokens.
pub struct PcaTask {
    pub(super) recipe: PcaRecipe,
    pub(super) model: BackboneInfo,
    pub(super) layer: LayerRequest,
    mode: InferenceMode,
    pub(super) context: TaskContext,
    pub(super) deferred: DeferredTokens<Projection>,
}

/// A photo whose components are rendered.
pub(super) struct PcaPhoto<'a> {
    pub job: &'a OutputJob,
    /// The photo, where the picture shows it or is fitted to its edges.
    pub photo: Option<&'a RgbImage>,
    pub geometry: &'a Geometry,
    pub timings: StageTimings,
}

/// The error for an output other than tokens.
pub(super) fn not_tokens_error() -> Error {
    Error::Model("components are of tokens".into())
}

impl PcaTask {
    /// Components of the patch tokens of `model`.
    ///
    /// # Errors
    /// [`Error::Usage`] for a block that the model does not have; names a basis that does not fit the model.
    pub fn new(recipe: PcaRecipe, model: &BackboneInfo, context: TaskContext) -> Result<Self> {
        let mut layer = LayerRequest {
            block: layer::resolve_block(recipe.layer.layer, model.config.depth, &model.name)?,
            norm: !recipe.layer.no_norm,
        };
        let mut saved = None;
        if let Some(path) = &recipe.basis {
            let (of, basis) = basis::read_basis(path, model)?;
            layer = of;
            saved = Some(basis);
        }
        let mut pass = layer::layer_pass(layer, recipe.layer.size, model.config.patch_size);
        if recipe.refine {
            // Patches with padding in them have odd components, which the fit to edges would spread.
            pass.preprocessor.padding = Padding::None;
        }
        Ok(PcaTask {
            mode: InferenceMode::Whole(pass),
            layer,
            context,
            deferred: DeferredTokens::new(model.config.dim, saved),
            model: model.clone(),
            recipe,
        })
    }

    /// Whether all photos share one fit, which this run makes.
    fn is_joint(&self) -> bool {
        self.deferred.saved.is_none() && !self.recipe.fit_each
    }

    /// Whether the picture shows the photo or is fitted to its edges.
    pub(super) fn uses_photo(&self) -> bool {
        self.recipe.side_by_side || self.recipe.overlay.is_some() || self.recipe.refine
    }

    fn fit_options(&self) -> PcaFitOptions {
        PcaFitOptions {
            component_indices: self.recipe.components.iter().map(|n| n - 1).collect(),
            whiten: self.recipe.whiten,
            foreground: self.recipe.foreground,
        }
    }

    fn save_basis(&self, projection: &Projection, console: &Console) -> Result<()> {
        match &self.recipe.save_basis {
            Some(path) => basis::save_basis(path, &self.model, self.layer, projection, console),
            None => Ok(()),
        }
    }

    /// Fits the components to all spooled tokens.
    pub(super) fn fit_tokens(&self, console: &Console) -> Result<()> {
        self.deferred.fit_with(|tokens| {
            let photos = tokens.len();
            let mut timings = StageTimings::default();
            let projection = timings.time("fit", || fit(tokens, &self.fit_options()))?;
            console.detail(format_args!("{photos} photos: {timings}"));
            self.save_basis(&projection, console)?;
            Ok(projection)
        })
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

    fn predict(&self, backbone_output: &BackboneOutput) -> Result<TaskOutput> {
        layer::token_output(&backbone_output.features, self.layer)
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
            // Photos whose pictures are there take part in the fit, so that a resumed run gives the same colours as an
            // uninterrupted one.
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
        match (&self.deferred.saved, &self.recipe.basis) {
            // A basis of --keep-fit is the run's fit, not a setting.
            (Some(saved), Some(_)) => {
                let bytes = basis::encode_basis(&self.model, self.layer, &saved.fit)?;
                Ok(settings.with("basis", Digest::of_bytes(&bytes)))
            }
            _ => Ok(settings),
        }
    }

    fn is_two_pass(&self) -> bool {
        self.is_joint()
    }

    fn fit_bytes(&self) -> Result<Vec<u8>> {
        basis::encode_basis(&self.model, self.layer, &self.deferred.fitted()?)
    }

    fn adopt_fit(&mut self, path: &Path) -> Result<()> {
        if self.recipe.save_basis.is_some() {
            let why =
                "--save-basis saves a new fit, and --keep-fit makes none; leave one of them out";
            return Err(Error::Usage(why.into()));
        }
        let (_, saved) = basis::read_basis(path, &self.model)?;
        self.deferred.saved = Some(saved);
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
        self.deferred.set_weights(&mut self.model, record)
    }

    fn finish_photo(&self, item: PredictedPhoto<'_>, console: &Console) -> Result<FinishedPhoto> {
        let PredictedPhoto {
            job,
            photo,
            geometry,
            output: TaskOutput::Tokens(tokens, grid),
            stamp,
            mut timings,
            is_only,
            ..
        } = item
        else {
            return Err(not_tokens_error());
        };
        let shown = self.uses_photo().then_some(photo);
        if self.is_joint() {
            return Ok(FinishedPhoto::Deferred(Box::new(DeferredPhoto {
                job: job.clone(),
                photo: shown.filter(|_| is_only).cloned(),
                stamp,
                geometry,
                grid_size: (grid.cols, grid.rows),
                values: tokens,
                samples: Vec::new(),
                room_probability: None,
                timings,
            })));
        }
        let own;
        let projection = match &self.deferred.saved {
            Some(saved) => &saved.fit,
            None => {
                let mut spool = TokenSpool::new(self.model.config.dim);
                spool.push(grid, &tokens)?;
                own = timings.time("fit", || fit(&mut spool, &self.fit_options()))?;
                self.save_basis(&own, console)?;
                &own
            }
        };
        if job.is_done() {
            return Ok(FinishedPhoto::Written(Outcome::Skipped));
        }
        let item = PcaPhoto {
            job,
            photo: shown,
            geometry: &geometry,
            timings,
        };
        self.render_photo(item, projection, &tokens, console)
    }

    fn collect_finished(&self, finished: FinishedPhoto) -> Result<Option<Outcome>> {
        match finished {
            FinishedPhoto::Written(outcome) | FinishedPhoto::Annotated(outcome, _) => {
                Ok(Some(outcome))
            }
            FinishedPhoto::Gathered(_) => Err(unexpected_row_error()),
            FinishedPhoto::Deferred(photo) => {
                self.deferred.push_photo(*photo)?;
                Ok(None)
            }
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
        self.deferred.read(index, job, job.is_done())
    }

    fn finish_deferred(&self, kept: DeferredPhoto, console: &Console) -> Result<FinishedPhoto> {
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
        let projection = self.deferred.fitted()?;
        let item = PcaPhoto {
            job: &kept.job,
            photo: photo.as_ref(),
            geometry: &kept.geometry,
            timings: kept.timings,
        };
        self.render_photo(item, &projection, &kept.values, console)
    }
}
