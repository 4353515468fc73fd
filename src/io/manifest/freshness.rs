//! Whether an existing output is what a run would make: the expected origin, the reasons for being stale, and the
//! result.

use crate::system::files::{Digest, FileStamp};

/// The photo, recipe and fit from which a run would make an output.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedOrigin<'a> {
    /// Stamp of the photo; only its digest is compared.
    pub photo: &'a FileStamp,
    /// See [`ManifestEntry::recipe`](super::ManifestEntry::recipe).
    pub recipe: &'a Digest,
    /// See [`ManifestEntry::fit`](super::ManifestEntry::fit).
    pub fit: Option<&'a Digest>,
}

/// Why an existing output is not what a run would make; at least one is true in [`OutputFreshness::Stale`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StaleReasons {
    /// The content of the photo differs; also set for an unfinished output, whose origin may be unknown.
    pub is_photo_changed: bool,
    /// The settings differ.
    pub is_recipe_changed: bool,
    /// The fit differs.
    pub is_fit_changed: bool,
    /// The output was left unfinished, whatever it was made from.
    pub is_unfinished: bool,
}

/// How the file at an output's path compares with what a run would make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFreshness {
    /// There is no file.
    Absent,
    /// It was made from this photo by this recipe and fit.
    Fresh,
    /// It was made by this program, from something else or not completely.
    Stale(StaleReasons),
    /// This program did not make it, or it was modified afterwards; it is never replaced without `--force`.
    Foreign,
}
