//! The input and the error of every decompressor of TIFF chunks: [`ChunkExtent`] and [`UnpackError`].

use std::io;

/// The size of one chunk, strip or tile, once unpacked.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkExtent {
    /// Pixels per row, including padding.
    pub width: u32,
    /// Rows that are needed.
    pub height: u32,
    /// Rows of a full strip or tile, which the last chunk may also contain.
    pub full_height: u32,
    /// Samples per pixel in this chunk: 1 if each sample has chunks of its own.
    pub samples: u16,
}

/// Why a chunk could not be unpacked.
#[derive(Debug)]
pub(super) enum UnpackError {
    /// The data may be intact, but their kind is not supported; the text is the whole message.
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
