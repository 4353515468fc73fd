//! What a writer reports of each part that it completes.

use std::path::PathBuf;

use crate::io::features::RowName;
use crate::system::files::FileStamp;

/// A part that was completed and is at its path.
#[derive(Debug, Clone)]
pub struct FinishedPart {
    /// Its file; for NumPy arrays, the table beside them.
    pub path: PathBuf,
    /// All its files; with stamps for those that were just written.
    pub files: Vec<(PathBuf, Option<FileStamp>)>,
    /// The photos whose features are in it, including those of the part that it continues.
    pub rows: Vec<RowName>,
}
