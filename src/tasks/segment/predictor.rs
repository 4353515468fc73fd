//! From a photo's scores to its labels, by a head for classes.

use image::RgbImage;

use crate::engine::stage_timings::StageTimings;
use crate::engine::{BackboneBatchOutput, BackboneOutput};
use crate::error::Result;
use crate::model::backbone::Backbone;
use crate::model::head::{Class, Head, HeadTask, Scores};
use crate::model::input::Geometry;
use crate::system::files::Digest;
use crate::tasks::inference::inference_mode::InferenceMode;
use crate::tasks::inference::memory_cost::{pixel_cost, score_bytes};
use crate::tasks::inference::scorer::HeadScorer;
use crate::tasks::recipe::HeadRecipe;
use crate::tasks::{TaskOutput, TaskPredictor, no_scores_error};
use crate::terminal::console::Console;
use crate::vision::postprocess::{LabelMap, refine, segment};

/// Whether borders are fitted to the photo's edges without `--refine`.
pub const DEFAULT_REFINE: bool = true;

/// Decodes a head's scores to labels.
pub struct LabelPredictor {
    scorer: HeadScorer,
    refines: bool,
}

impl LabelPredictor {
    /// A predictor of `head` with the options of `recipe`, on a backbone with patches of `patch_size` pixels.
    ///
    /// # Errors
    /// As [`HeadScorer::new`].
    pub fn new(
        recipe: &HeadRecipe,
        head: Head,
        patch_size: usize,
        console: &Console,
    ) -> Result<Self> {
        Ok(LabelPredictor {
            scorer: HeadScorer::new(recipe, head, patch_size, console)?,
            refines: recipe.refine.unwrap_or(DEFAULT_REFINE),
        })
    }

    /// Copies the head to each device that has a backbone.
    ///
    /// # Errors
    /// If a device fails, or has no memory for the head.
    pub fn attach_backbones(&mut self, backbones: &[Backbone]) -> Result<()> {
        self.scorer.attach_backbones(backbones)
    }

    /// Whether borders are fitted to the photo's edges.
    pub fn refines(&self) -> bool {
        self.refines
    }

    /// The head, as it was loaded.
    pub fn head(&self) -> &Head {
        self.scorer.head()
    }

    /// Digest of the head.
    ///
    /// # Errors
    /// As [`HeadScorer::digest`].
    pub fn digest(&self) -> Result<Digest> {
        self.scorer.digest()
    }

    /// The head and its inference mode.
    pub(super) fn scorer(&self) -> &HeadScorer {
        &self.scorer
    }

    /// The head's classes, by id.
    pub fn classes(&self) -> &[Class] {
        classes_of(self.head())
    }

    /// The labels of `output` at the size of `photo`, `[height, width]`; the time is added to `timings`.
    ///
    /// # Errors
    /// If the output is of another kind, or memory runs out.
    pub fn read(
        &self,
        output: TaskOutput,
        geometry: &Geometry,
        photo: &RgbImage,
        timings: &mut StageTimings,
    ) -> Result<LabelMap> {
        match output {
            TaskOutput::Labels(map) => Ok(map),
            TaskOutput::Scores {
                scores,
                mirrored: None,
                ..
            } => label_scores(&scores, geometry, photo, self.refines, timings),
            TaskOutput::Scores {
                scores,
                mirrored: Some(mirrored),
                ..
            } => {
                let mean = segment::mean_with_mirrored(&scores, &mirrored);
                label_scores(&mean, geometry, photo, self.refines, timings)
            }
            TaskOutput::Tokens(..) | TaskOutput::Features(_) => Err(no_scores_error(self.head())),
        }
    }
}

impl TaskPredictor for LabelPredictor {
    fn mode(&self) -> &InferenceMode {
        self.scorer.mode()
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        // Ids and confidences.
        score_bytes(self.head(), geometry) + pixel_cost(2 + 4)(geometry)
    }

    fn predict(&self, backbone_output: &BackboneOutput) -> Result<TaskOutput> {
        self.scorer.score(backbone_output)
    }

    fn predict_batch(&self, batch: &BackboneBatchOutput) -> Result<Vec<Result<TaskOutput>>> {
        self.scorer.score_batch(batch)
    }
}

/// The classes of a head; empty for a head of another task.
pub(super) fn classes_of(head: &Head) -> &[Class] {
    match &head.meta.task {
        HeadTask::Segment { classes } => classes,
        _ => &[],
    }
}

/// The labels of `scores` at the size of `photo`, with borders fitted to its edges if `refines`.
///
/// # Errors
/// If memory runs out.
pub(in crate::tasks) fn label_scores(
    scores: &Scores,
    geometry: &Geometry,
    photo: &RgbImage,
    refines: bool,
    timings: &mut StageTimings,
) -> Result<LabelMap> {
    match refines {
        true => timings.time("refine", || refine::refine_labels(scores, geometry, photo)),
        false => timings.time("label", || segment::label(scores, geometry, &[])),
    }
}
