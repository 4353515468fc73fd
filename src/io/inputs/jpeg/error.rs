//! [`JpegError`]: a JPEG is truncated, damaged, or of an unsupported kind.

/// Why a JPEG cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JpegError {
    /// The file ends before the image does.
    Truncated,
    /// The data violate the standard; the text says where, and follows "damaged JPEG: ".
    Damaged(String),
    /// The data may be intact, but this kind of JPEG is not supported; the text is the whole message.
    Unsupported(String),
}
