//! TODO

use std::path::PathBuf;

use crate::io::features::RowName;
use crate::system::files::FileStamp;

/// A part that is in its place now.
#[derive(Debug, Clone)]
pub struct FinishedPart {
    /// The file; for arrays of NumPy's, the table beside them.
    pub path: PathBuf,
    /// All its files, with the stamps of those that were written.
    pub files: Vec<(PathBuf, Option<FileStamp>)>,
    /// The photos whose features are in it, also those that were in it before.
    pub rows: Vec<RowName>,
}
