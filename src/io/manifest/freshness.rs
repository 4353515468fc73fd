//! TODO

use crate::system::files::{Digest, FileStamp};

/// What a run would make an output from.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedOrigin<'a> {
    /// The photo; its content counts, not its name or time.
    pub photo: &'a FileStamp,
    /// See [`ManifestEntry::is_recipe_changed`].
    pub recipe: &'a Digest,
    /// See [`ManifestEntry::is_fit_changed`].
    pub fit: Option<&'a Digest>,
}

/// What differs between what an output was made from and what is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StaleReasons {
    /// The content of the photo.
    pub is_photo_changed: bool,
    /// The recipe.
    pub is_recipe_changed: bool,
    /// What was fitted to other photos.
    pub is_fit_changed: bool,
    /// It was left unfinished, so that nothing of it counts.
    pub is_unfinished: bool,
}

/// How an output that a run would make stands to what is in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFreshness {
    /// Nothing is there.
    Absent,
    /// It was made from this photo by this recipe and fit.
    Fresh,
    /// It was made by this program from something else.
    Stale(StaleReasons),
    /// This program did not make it, or it was changed since.
    Foreign,
}
