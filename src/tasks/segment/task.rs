//! Labels of a head: planned, read out of its scores, and written by the [`LabelRenderer`].

use std::path::Path;

use serde_json::Value;

use super::file_names::{LABEL_REVISION, SIBLING_EXTENSIONS, recipe_for_file};
use super::photo_labels::LabelInput;
use super::predictor::{LabelPredictor, classes_of};
use super::renderer::LabelRenderer;
use crate::engine::run_report::Outcome;
use crate::engine::{BackboneBatchOutput, BackboneOutput};
use crate::error::Result;
use crate::io::output::{LineSubject, OutputPlan, PICTURE_EXTENSION};
use crate::model::backbone::Backbone;
use crate::model::head::Head;
use crate::model::input::Geometry;
use crate::model::weights::ModelRecord;
use crate::tasks::clip::ClipTask;
use crate::tasks::inference::memory_cost::{pixel_cost, score_bytes};
use crate::tasks::inference::scorer::HeadScorer;
use crate::tasks::recipe::{LabelFileFormat, SegmentRecipe};
use crate::tasks::settings::{OutputSettings, non_default_settings};
use crate::tasks::{
    DocumentFile, FinishedPhoto, InferenceMode, PhotoSelection, PredictedPhoto, Task, TaskContext,
    TaskOutput, TaskPredictor,
};
use crate::terminal::console::Console;

/// The least probability of a class in the picture without `--least`. Of pixels below one half, about three of five are
/// wrong, in rooms and streets as in landscapes.
pub const MIN_PICTURE_PROBABILITY: f32 = 0.5;

/// Labels the pixels of photos with a head's classes.
pub struct SegmentTask {
    recipe: SegmentRecipe,
    pub(super) predictor: LabelPredictor,
    pub(super) renderer: LabelRenderer,
}

impl SegmentTask {
    /// A task of `head` on a backbone with patches of `patch_size` pixels.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for options that contradict each other or the head.
    pub fn new(
        recipe: SegmentRecipe,
        head: Head,
        patch_size: usize,
        context: TaskContext,
        console: &Console,
    ) -> Result<Self> {
        let subject = context.subject("segment");
        let labels = recipe.labels.clone();
        let mut renderer = LabelRenderer::new(labels, subject, context, console)?;
        renderer.set_picture_threshold(MIN_PICTURE_PROBABILITY);
        renderer.set_classes(
            classes_of(&head).to_vec(),
            &format!("the head {}", head.meta.name),
            vec![
                ("model", head.meta.backbone.clone()),
                ("head", head.meta.name.clone()),
            ],
            console,
        )?;
        Ok(SegmentTask {
            predictor: LabelPredictor::new(&recipe.head, head, patch_size, console)?,
            recipe,
            renderer,
        })
    }
}

impl TaskPredictor for SegmentTask {
    fn mode(&self) -> &InferenceMode {
        self.predictor.mode()
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        score_bytes(self.predictor.head(), geometry)
            + pixel_cost(self.renderer.bytes_per_pixel())(geometry)
    }

    fn needs_photo(&self) -> bool {
        let labels = &self.recipe.labels;
        let is_shown = !labels.mask_only || labels.save.contains(&LabelFileFormat::Cutout);
        is_shown || labels.side_by_side || self.predictor.refines()
    }

    fn predict(&self, backbone_output: &BackboneOutput) -> Result<TaskOutput> {
        self.predictor.predict(backbone_output)
    }

    fn predict_batch(&self, batch: &BackboneBatchOutput) -> Result<Vec<Result<TaskOutput>>> {
        self.predictor.predict_batch(batch)
    }
}

impl Task for SegmentTask {
    fn subject(&self) -> LineSubject {
        self.renderer.context.subject("segment")
    }

    fn extensions(&self) -> Vec<&'static str> {
        self.renderer.extensions()
    }

    fn photo_selection(&self) -> PhotoSelection {
        self.renderer.photo_selection()
    }

    fn sibling_extensions(&self) -> &'static [&'static str] {
        SIBLING_EXTENSIONS
    }

    fn settings(&self, extension: &str) -> Result<OutputSettings> {
        let labels = recipe_for_file(&self.recipe.labels, extension);
        let font = self.renderer.font().filter(|_| labels.font.is_some());
        let mut head = self.recipe.head.clone();
        head.name = None;
        Ok(
            OutputSettings::from_recipe(&SegmentRecipe { head, labels })?
                .with_revision(LABEL_REVISION)
                .with("head", self.predictor.digest()?)
                .with_font(font)
                .with_text(
                    (extension == PICTURE_EXTENSION)
                        .then(|| self.renderer.font_key())
                        .flatten(),
                ),
        )
    }

    fn input_files(&self) -> Vec<&Path> {
        let head = self.recipe.head.name.as_deref();
        head.into_iter().chain(self.renderer.font()).collect()
    }

    fn prepare_plan(&mut self, plan: &mut OutputPlan, console: &Console) -> Result<()> {
        self.renderer.prepare_plan(plan, console)
    }

    fn scorer(&self) -> Option<&HeadScorer> {
        Some(self.predictor.scorer())
    }

    fn parameters(&self) -> Value {
        non_default_settings(&self.recipe)
    }

    fn as_clip_task(&self) -> Option<&dyn ClipTask> {
        Some(self)
    }

    fn attach_backbones(
        &mut self,
        backbones: &[Backbone],
        _: &ModelRecord,
        _: &Console,
    ) -> Result<()> {
        self.predictor.attach_backbones(backbones)
    }

    fn finish_photo(&self, item: PredictedPhoto<'_>, console: &Console) -> Result<FinishedPhoto> {
        let PredictedPhoto {
            job,
            photo,
            geometry,
            output,
            stamp,
            mut timings,
            ..
        } = item;
        let map = self
            .predictor
            .read(output, &geometry, photo, &mut timings)?;
        let input = LabelInput {
            job,
            photo,
            stamp: stamp.as_ref(),
            geometry: &geometry,
        };
        self.renderer.render_and_write(input, map, timings, console)
    }

    fn collect_finished(&self, finished: FinishedPhoto) -> Result<Option<Outcome>> {
        self.renderer.collect_finished(finished)
    }

    fn document(&self) -> Option<DocumentFile> {
        self.renderer.document()
    }

    fn write_document(&self, console: &Console) -> Result<()> {
        self.renderer.write_document(console)
    }
}
