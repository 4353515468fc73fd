//! What every decompressor of a TIFF's chunks is given, the [`ChunkExtent`], and how it fails, the [`UnpackError`].

use std::io;

/// The size of one chunk, strip or tile, once unpacked.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkExtent {
    /// Pixels a row, those of padding included.
    pub width: u32,
    /// Rows that are needed.
    pub height: u32,
    /// Rows of a whole strip or tile, which may be stored.
    pub full_height: u32,
    /// Samples a pixel in this chunk: 1 where each sample has chunks of its own.
    pub samples: u16,
}

/// Why a chunk could not be unpacked.
#[derive(Debug)]
pub(super) enum UnpackError {
    /// The data may be whole, but their kind cannot be read; the text is the whole message.
    Unsupported(String),
    /// The data are damaged; the text follows the number of the chunk.
    Damaged(String),
}

impl From<io::Error> for UnpackError {
    fn from(error: io::Error) -> Self {
        UnpackError::Damaged(match error.kind() {
            io::ErrorKind::UnexpectedEof => "ends before its pixels do".into(),
            _ => format!("does not unpack: {error}"),
        })
    }
}
