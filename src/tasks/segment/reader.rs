//! What a head for classes finds in a photo, and the labels that this stands for.

use image::RgbImage;

use crate::engine::stopwatch::Stopwatch;
use crate::engine::{Seen, SeenBatch};
use crate::error::Result;
use crate::model::backbone::Backbone;
use crate::model::head::{Class, Head, Scores, Task as HeadTask};
use crate::model::input::Geometry;
use crate::system::files::Digest;
use crate::tasks::costs::{of_scores, per_pixel};
use crate::tasks::recipe::HeadRecipe;
use crate::tasks::scorer::Scorer;
use crate::tasks::way::Way;
use crate::tasks::{Finder, Found, no_scores};
use crate::terminal::console::Console;
use crate::vision::postprocess::{LabelMap, refine, segment};

use super::REFINE;

/// Reads labels out with a head.
pub struct LabelReader {
    scorer: Scorer,
    refines: bool,
}

impl LabelReader {
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
        Ok(LabelReader {
            scorer: Scorer::new(recipe, head, patch_size, console)?,
            refines: recipe.refine.unwrap_or(REFINE),
        })
    }

    /// Goes to each device that has a backbone.
    ///
    /// # Errors
    /// If one of them has no memory for the head, or fails.
    pub fn meet(&mut self, backbones: &[Backbone]) -> Result<()> {
        self.scorer.meet(backbones)
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
    /// As [`Scorer::digest`].
    pub fn digest(&self) -> Result<Digest> {
        self.scorer.digest()
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
        found: Found,
        geometry: &Geometry,
        photo: &RgbImage,
        watch: &mut Stopwatch,
    ) -> Result<LabelMap> {
        match found {
            Found::Labels(map) => Ok(map),
            Found::Scores {
                scores,
                mirrored: None,
                ..
            } => label(&scores, geometry, photo, self.refines, watch),
            Found::Scores {
                scores,
                mirrored: Some(mirrored),
                ..
            } => {
                let mean = segment::mean_with_mirrored(&scores, &mirrored);
                label(&mean, geometry, photo, self.refines, watch)
            }
            Found::Tokens(..) | Found::Features(_) => Err(no_scores(self.head())),
        }
    }
}

impl Finder for LabelReader {
    fn way(&self) -> &Way {
        self.scorer.way()
    }

    fn memory(&self, geometry: &Geometry) -> u64 {
        // Ids and confidences.
        of_scores(self.head(), geometry) + per_pixel(2 + 4)(geometry)
    }

    fn find(&self, seen: &Seen) -> Result<Found> {
        self.scorer.find(seen)
    }

    fn find_all(&self, batch: &SeenBatch) -> Result<Vec<Result<Found>>> {
        self.scorer.find_all(batch)
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
pub(in crate::tasks) fn label(
    scores: &Scores,
    geometry: &Geometry,
    photo: &RgbImage,
    refines: bool,
    watch: &mut Stopwatch,
) -> Result<LabelMap> {
    match refines {
        true => watch.time("refine", || refine::label(scores, geometry, photo)),
        false => watch.time("label", || segment::label(scores, geometry, &[])),
    }
}
