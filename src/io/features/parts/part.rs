//! The interface of a part format: [`PartWriter`] and [`PartReader`].

use std::path::PathBuf;

use crate::error::Result;
use crate::io::features::RowInfo;
use crate::io::features::arrays::EncodedRow;
use crate::system::files::FileStamp;

/// The files of a part, with the stamps of those that were written.
pub(in crate::io::features) type PartFiles = Vec<(PathBuf, Option<FileStamp>)>;

/// Writes one part.
pub(in crate::io::features) trait PartWriter: Send {
    /// Appends a row.
    ///
    /// # Errors
    /// Names the file that cannot be written; the part is lost then.
    fn push(&mut self, row: EncodedRow) -> Result<()>;

    /// Completes the part, which then appears at its path. Returns its files.
    ///
    /// # Errors
    /// Names the file that cannot be written; a former part at the path is unchanged then.
    fn finish(self: Box<Self>) -> Result<PartFiles>;
}

/// Reads rows of one part; threads may share it.
pub(in crate::io::features) trait PartReader: Send + Sync {
    /// Little-endian bytes of the arrays of the row `info`, in the order of
    /// [`FeatureArray::stored`](crate::io::features::arrays::FeatureArray::stored).
    ///
    /// # Errors
    /// Names the file that cannot be read, is damaged, or was replaced since it was opened.
    fn read(&self, info: &RowInfo) -> Result<Vec<Vec<u8>>>;

    /// Whether rows can be appended: its files hold no data of removed rows.
    fn is_compact(&self) -> bool {
        true
    }
}
