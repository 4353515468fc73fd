//! Why a JPEG is refused: the file is cut, its data are damaged, or its kind is not read.

/// Why a JPEG cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JpegError {
    /// The file ends before the image does.
    Truncated,
    /// The data contradict the standard; the text says where, and follows "damaged JPEG: ".
    Damaged(String),
    /// The data may be whole, but this kind of JPEG is not read; the text is the whole message.
    Unsupported(String),
}
