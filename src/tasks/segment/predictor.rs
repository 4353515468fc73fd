//! What a head for classes finds in a photo, and the labels that this stands for.

use image::RgbImage;

use crate::engine::stopwatch::Stopwatch;
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

/// Whether borders are fitted to the photo without a word about it.
pub const DEFAULT_REFINE: bool = true;

/// Reads labels out with a head.
pub struct LabelPredictor {
    scorer: HeadScorer,
    refines: bool,
}

impl LabelPredictor {
    /// With `head` as `recipe` has it, on a backbone whose patches have this side.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for wishes that contradict each other or that the head cannot fulfil.
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

    /// Goes to each device that has a backbone.
    ///
    /// # Errors
    /// If one of them has no memory for the head, or fails.
    pub fn attach_backbones(&mut self, backbones: &[Backbone]) -> Result<()> {
        self.scorer.attach_backbones(backbones)
    }

    /// Whether borders are fitted to the photo.
    pub fn refines(&self) -> bool {
        self.refines
    }

    /// The head.
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

    /// What labels stand for, by id.
    pub fn classes(&self) -> &[Class] {
        classes_of(self.head())
    }

    /// The labels that were `found` in `photo`, at its size; the time goes to `watch`.
    ///
    /// # Errors
    /// If the head gave no scores, or there is no memory for them.
    pub fn read(
        &self,
        found: TaskOutput,
        geometry: &Geometry,
        photo: &RgbImage,
        watch: &mut Stopwatch,
    ) -> Result<LabelMap> {
        match found {
            TaskOutput::Labels(map) => Ok(map),
            TaskOutput::Scores {
                scores,
                mirrored: None,
                ..
            } => label_scores(&scores, geometry, photo, self.refines, watch),
            TaskOutput::Scores {
                scores,
                mirrored: Some(mirrored),
                ..
            } => {
                let mean = segment::mean_with_mirrored(&scores, &mirrored);
                label_scores(&mean, geometry, photo, self.refines, watch)
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

    fn predict(&self, seen: &BackboneOutput) -> Result<TaskOutput> {
        self.scorer.score(seen)
    }

    fn predict_batch(&self, batch: &BackboneBatchOutput) -> Result<Vec<Result<TaskOutput>>> {
        self.scorer.score_batch(batch)
    }
}

/// The classes of a head; none of one that is for something else.
pub(super) fn classes_of(head: &Head) -> &[Class] {
    match &head.meta.task {
        HeadTask::Segment { classes } => classes,
        _ => &[],
    }
}

/// The labels that `scores` stand for at the size of `photo`, whose edges borders are fitted to where it `refines`.
///
/// # Errors
/// If there is no memory for them.
pub(in crate::tasks) fn label_scores(
    scores: &Scores,
    geometry: &Geometry,
    photo: &RgbImage,
    refines: bool,
    watch: &mut Stopwatch,
) -> Result<LabelMap> {
    match refines {
        true => watch.time("refine", || refine::refine_labels(scores, geometry, photo)),
        false => watch.time("label", || segment::label(scores, geometry, &[])),
    }
}
