//! A head and the way that photos take to it, for all that reads scores out.

use std::sync::OnceLock;

use crate::engine::{Seen, SeenBatch};
use crate::error::Result;
use crate::model::backbone::Backbone;
use crate::model::head::Head;
use crate::model::head_zoo::calibration::digest_of;
use crate::system::files::Digest;
use crate::tasks::Found;
use crate::tasks::placed::PlacedHead;
use crate::tasks::recipe::HeadRecipe;
use crate::tasks::way::{self, Way};
use crate::terminal::console::Console;

/// Gives what the backbone sees scores.
pub struct Scorer {
    head: PlacedHead,
    way: Way,
    digest: OnceLock<Digest>,
}

impl Scorer {
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
        Ok(Scorer {
            way: Way::new(recipe, &head, patch_size, console)?,
            head: head.into(),
            digest: OnceLock::new(),
        })
    }

    /// Goes to each device that has a backbone.
    ///
    /// # Errors
    /// If one of them has no memory for the head, or fails.
    pub fn meet(&mut self, backbones: &[Backbone]) -> Result<()> {
        self.head = PlacedHead::beside(self.head.any(), backbones)?;
        Ok(())
    }

    /// The head.
    pub fn head(&self) -> &Head {
        self.head.any()
    }

    /// How the backbone sees photos for it.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// Digest of all of the head: what it says of itself, and its weights. Taken once.
    ///
    /// # Errors
    /// If its weights are no numbers.
    pub fn digest(&self) -> Result<Digest> {
        if let Some(digest) = self.digest.get() {
            return Ok(*digest);
        }
        let digest = digest_of(self.head())?;
        Ok(*self.digest.get_or_init(|| digest))
    }

    /// Scores of what the backbone gives for a photo, or for a window of it.
    ///
    /// # Errors
    /// If the head gives no numbers, or the device fails.
    pub fn find(&self, seen: &Seen) -> Result<Found> {
        way::scores(self.head.of(&seen.features)?, seen, self.way.mirrors())
    }

    /// As [`Scorer::find`], for each photo of a batch.
    ///
    /// # Errors
    /// If the device fails with all of them.
    pub fn find_all(&self, batch: &SeenBatch) -> Result<Vec<Result<Found>>> {
        let head = self.head.of(&batch.features)?;
        way::scores_of_batch(head, batch, self.way.mirrors())
    }
}
