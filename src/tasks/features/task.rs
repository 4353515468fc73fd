//! The features task: tokens of each photo become one row of the dataset, in the order of the inputs.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::dataset_update::DatasetUpdate;
use super::row::{GatheredRow, row_name};
use super::selection::FeatureSelection;
use super::tokens::{PhotoTokens, TokenSelection};
use crate::engine::BackboneOutput;
use crate::engine::run_report::Outcome;
use crate::error::{Error, Result};
use crate::io::features::{DatasetMeta, FeatureRow, PointList, pool};
use crate::io::manifest::Ledger;
use crate::io::output::{LineSubject, OutputJob, OutputOptions, OutputPlan};
use crate::model::backbone::Backbone;
use crate::model::head::Head;
use crate::model::input::{Geometry, PatchGrid};
use crate::model::weights::ModelRecord;
use crate::system::files::Digest;
use crate::tasks::backbone_info::BackboneInfo;
use crate::tasks::inference::inference_mode::InferenceMode;
use crate::tasks::recipe::{FeaturesRecipe, TokenKind};
use crate::tasks::settings::{OutputSettings, non_default_settings};
use crate::tasks::{FinishedPhoto, PredictedPhoto, Task, TaskContext, TaskOutput, TaskPredictor};
use crate::terminal::console::Console;

/// Stores features of photos.
pub struct FeaturesTask {
    recipe: FeaturesRecipe,
    model: BackboneInfo,
    /// The backbone's number type, such as `f32`.
    compute_dtype: String,
    head: Option<Head>,
    selection: FeatureSelection,
    context: TaskContext,
    console: Console,
    dataset: Mutex<DatasetUpdate>,
}

impl FeaturesTask {
    /// A task that stores tokens of `model`, which computes in the number type `computed`; `head` is the head that the
    /// recipe names. The target of `options` is not used.
    ///
    /// # Errors
    /// [`Error::Usage`] for options that contradict each other or the model; names a file that cannot be used.
    pub fn new(
        recipe: FeaturesRecipe,
        head: Option<Head>,
        (model, computed): (&BackboneInfo, &str),
        (context, options): (TaskContext, &OutputOptions),
        console: &Console,
    ) -> Result<Self> {
        let selection = FeatureSelection::new(&recipe, model, head.as_ref(), console)?;
        let dataset = DatasetUpdate::new(&recipe.output, recipe.part_size, options)?;
        Ok(FeaturesTask {
            selection,
            recipe,
            model: model.clone(),
            compute_dtype: computed.to_owned(),
            head,
            context,
            console: console.clone(),
            dataset: Mutex::new(dataset),
        })
    }

    /// The description of the dataset.
    fn meta(&self) -> DatasetMeta {
        let photos = self.context.decoder.options.tag();
        self.selection
            .dataset_meta(&self.recipe, &self.model, (&self.compute_dtype, &photos))
    }

    fn dataset(&self) -> MutexGuard<'_, DatasetUpdate> {
        self.dataset.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pixels of a photo at which features are sampled.
    fn points_of<'p>(&'p self, points: &'p PointList, job: &OutputJob) -> &'p [(f32, f32)] {
        let path = job.source.path();
        let names = [
            path.to_str(),
            job.name.to_str(),
            job.key.to_str(),
            path.file_name().and_then(|name| name.to_str()),
        ];
        points.points_for(names.into_iter().flatten())
    }

    /// The row of a photo with these digests: its `tokens`, projected, pooled or sampled as the recipe has it.
    ///
    /// # Errors
    /// Names a photo without one of its pixels.
    fn build_row(
        &self,
        (job, digest, sha256): (&OutputJob, Digest, String),
        geometry: &Geometry,
        tokens: PhotoTokens,
    ) -> Result<FeatureRow> {
        let dim = self.model.config.dim;
        let PhotoTokens {
            grid,
            cls,
            mut patches,
            registers,
            coarse,
        } = tokens;
        let layers = self.selection.layers.len();
        let points = match &self.selection.points {
            Some(points) => self.points_of(points, job).to_vec(),
            None => Vec::new(),
        };
        check_points(job, &points, geometry.photo)?;
        let layer = |tokens: &[f32], index: usize, width: usize| {
            let length = grid.len() * width;
            tokens[index * length..][..length].to_vec()
        };
        let mut sampled = Vec::with_capacity(points.len() * layers * dim);
        for &point in &points {
            for index in 0..layers {
                let tokens = &patches[index * grid.len() * dim..][..grid.len() * dim];
                sampled.extend(pool::sample_bilinear(tokens, dim, geometry, point));
            }
        }
        let mut stored = PatchGrid { ..grid };
        if !self.recipe.has_tokens(TokenKind::Patches) {
            patches = Vec::new();
        }
        let mut width = dim;
        if let (Some((projection, ..)), false) = (&self.selection.basis, patches.is_empty()) {
            patches = projection.project(&patches)?.scores;
            width = projection.component_indices.len();
        }
        if let (Some(side), false) = (self.recipe.pool, patches.is_empty()) {
            let side = side as usize;
            let pooled = (0..layers).flat_map(|index| {
                pool::adaptive_avg_pool(&layer(&patches, index, width), width, grid, side)
            });
            patches = pooled.collect();
            stored = PatchGrid {
                rows: side,
                cols: side,
            };
        }
        Ok(FeatureRow {
            name: row_name(&job.source),
            key: job.key.to_string_lossy().into_owned(),
            sha256,
            digest,
            photo_size: geometry.photo,
            grid: stored,
            cls: match self.recipe.has_tokens(TokenKind::Cls) {
                true => cls,
                false => Vec::new(),
            },
            patches,
            registers,
            coarse: coarse.map(|coarse| (coarse.grid, coarse.cls, coarse.patches)),
            points,
            point_features: sampled,
        })
    }
}

/// Refuses pixels (x, y) outside a photo of (width, height); pixel centres have whole coordinates.
fn check_points(job: &OutputJob, points: &[(f32, f32)], photo: (u32, u32)) -> Result<()> {
    let (width, height) = photo;
    let is_outside = |(x, y): &&(f32, f32)| {
        let within = |at: f32, size: u32| at >= -0.5 && at <= size as f32 - 0.5;
        !within(*x, width) || !within(*y, height)
    };
    match points.iter().find(is_outside) {
        None => Ok(()),
        Some((x, y)) => Err(Error::file(
            job.source.path(),
            format!(
                "--at: the pixel {x},{y} lies outside of the photo, which is {width} x {height} pixels (counted from 0,0)"
            ),
        )),
    }
}

impl TaskPredictor for FeaturesTask {
    fn mode(&self) -> &InferenceMode {
        &self.selection.mode
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        // As the backbone gave them, while they are pooled or projected, and as they are stored.
        let numbers = geometry.grid().len() * self.model.config.dim * self.selection.layers.len();
        (4 + 4 + 4) * numbers as u64
    }

    fn predict(&self, backbone_output: &BackboneOutput) -> Result<TaskOutput> {
        let taken = TokenSelection {
            patches: self.recipe.has_tokens(TokenKind::Patches) || self.selection.points.is_some(),
            registers: self.recipe.has_tokens(TokenKind::Registers),
            coarse: self.selection.has_coarse(),
        };
        let tokens = PhotoTokens::of(&backbone_output.features, &self.selection.layers, taken)?;
        Ok(TaskOutput::Features(Box::new(tokens)))
    }

    fn needs_sha256(&self) -> bool {
        true
    }

    fn needs_photo(&self) -> bool {
        false
    }
}

impl Task for FeaturesTask {
    fn subject(&self) -> LineSubject {
        self.context.subject("features")
    }

    fn extensions(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn settings(&self, _: &str) -> Result<OutputSettings> {
        let recipe = FeaturesRecipe {
            output: Default::default(),
            ..self.recipe.clone()
        };
        OutputSettings::from_recipe(&recipe)
    }

    fn sibling_extensions(&self) -> &'static [&'static str] {
        &[]
    }

    fn input_files(&self) -> Vec<&Path> {
        let files = [&self.recipe.head, &self.recipe.basis, &self.recipe.at];
        files.into_iter().filter_map(Option::as_deref).collect()
    }

    fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    fn prepare_plan(&mut self, plan: &mut OutputPlan, console: &Console) -> Result<()> {
        if let Some(points) = self
            .selection
            .points
            .as_ref()
            .filter(|points| points.is_per_photo())
        {
            let without = |job: &&OutputJob| self.points_of(points, job).is_empty();
            let count = plan.jobs.iter().filter(without).count();
            if count > 0 {
                console.warn(format_args!(
                    "--at: of {count} of {} photos the list names no pixel",
                    plan.jobs.len()
                ));
            }
        }
        let most = self.context.decoder.options.max_memory;
        let meta = self.model.fingerprint.is_some().then(|| self.meta());
        self.dataset().find_done_rows((plan, meta), most, console)
    }

    fn is_complete(&self, photo: usize, _: &OutputJob) -> bool {
        self.dataset().has_row(photo)
    }

    fn ledger(&self) -> Option<Ledger> {
        Some(self.dataset().ledger().clone())
    }

    fn is_broken(&self) -> bool {
        self.dataset().is_broken()
    }

    fn has_own_record(&self) -> bool {
        true
    }

    fn parameters(&self) -> Value {
        non_default_settings(&self.recipe)
    }

    fn attach_backbones(
        &mut self,
        _: &[Backbone],
        record: &ModelRecord,
        _: &Console,
    ) -> Result<()> {
        let origin = self.selection.basis.as_ref().map(|(_, origin, _)| origin);
        self.model
            .set_weights(record, self.recipe.basis.as_deref().zip(origin))?;
        let meta = self.meta();
        let facts = json!({
            "model": {"name": self.model.name, "fingerprint": self.model.fingerprint},
            "dtype": self.compute_dtype,
            "parameters": self.parameters(),
        });
        let dataset = self
            .dataset
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        dataset.open(meta, facts)
    }

    fn finish_photo(&self, item: PredictedPhoto<'_>, _: &Console) -> Result<FinishedPhoto> {
        let PredictedPhoto {
            job,
            geometry,
            output: TaskOutput::Features(tokens),
            stamp: Some(stamp),
            sha256: Some(sha256),
            mut timings,
            ..
        } = item
        else {
            return Err(Error::Model(
                "features are of tokens of a photo that was read".into(),
            ));
        };
        let origin = (job, stamp.digest, sha256);
        let row = timings.time("gather", || self.build_row(origin, &geometry, *tokens))?;
        Ok(FinishedPhoto::Gathered(Box::new(GatheredRow {
            row,
            job: job.clone(),
            stamp,
            timings,
        })))
    }

    fn collect_finished(&self, finished: FinishedPhoto) -> Result<Option<Outcome>> {
        match finished {
            FinishedPhoto::Written(outcome) | FinishedPhoto::Annotated(outcome, _) => {
                Ok(Some(outcome))
            }
            FinishedPhoto::Gathered(gathered) => {
                self.dataset().push_row(
                    *gathered,
                    (self.context.json, &self.subject()),
                    &self.console,
                )?;
                Ok(Some(Outcome::Done))
            }
            FinishedPhoto::Deferred(_) => Err(Error::Model("no photo waits".into())),
        }
    }

    fn flush(&self, console: &Console) -> Result<()> {
        self.dataset()
            .finish((self.context.json, &self.subject()), console)
    }
}
