//! Whether an existing output is what a run would make: expected origin, reasons for being stale, and the verdict.

use crate::system::files::{Digest, FileStamp};

/// What a run would make an output from.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedOrigin<'a> {
    /// Stamp of the photo, of which only the digest counts.
    pub photo: &'a FileStamp,
    /// See [`ManifestEntry::recipe`](super::ManifestEntry::recipe).
    pub recipe: &'a Digest,
    /// See [`ManifestEntry::fit`](super::ManifestEntry::fit).
    pub fit: Option<&'a Digest>,
}

/// Why an existing output is not the one that a run would make; at least one is true in [`OutputFreshness::Stale`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StaleReasons {
    /// The content of the photo is another.
    pub is_photo_changed: bool,
    /// The settings are others.
    pub is_recipe_changed: bool,
    /// The fit is another.
    pub is_fit_changed: bool,
    /// The output was left unfinished, whatever it was made from.
    pub is_unfinished: bool,
}

/// How an output that a run would make compares to the file at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFreshness {
    /// There is no file.
    Absent,
    /// It was made from this photo by this recipe and fit.
    Fresh,
    /// It was made by this program, from something else or not completely.
    Stale(StaleReasons),
    /// This program did not make it, or it was changed since; it is never replaced without `--force`.
    Foreign,
}
