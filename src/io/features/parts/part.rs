//! TODO

use std::path::PathBuf;

use crate::error::Result;
use crate::io::features::RowInfo;
use crate::io::features::arrays::EncodedRow;
use crate::system::files::FileStamp;

/// The files of a part, with the stamps of those that were written.
pub(in crate::io::features) type PartFiles = Vec<(PathBuf, Option<FileStamp>)>;

/// A part that is written.
pub(in crate::io::features) trait PartWriter: Send {
    /// Adds a row.
    ///
    /// # Errors
    /// Names the file that cannot be written; the part is lost then.
    fn push(&mut self, row: EncodedRow) -> Result<()>;

    /// Puts the part in its place. Returns its files, with the stamps of those that were written.
    ///
    /// # Errors
    /// Names the file that cannot be written; what was there before is there still.
    fn finish(self: Box<Self>) -> Result<PartFiles>;
}

/// A part that is read.
pub(in crate::io::features) trait PartReader: Send + Sync {
    /// The bytes of a row's arrays, in the order of [`Array::stored`](super::array_paths::Array::stored).
    ///
    /// # Errors
    /// Names the file that cannot be read, is damaged, or was replaced since it was opened.
    fn read(&self, info: &RowInfo) -> Result<Vec<Vec<u8>>>;

    /// Whether the part can be continued: nothing in its files is of rows that it has no more.
    fn is_compact(&self) -> bool {
        true
    }
}
