//! [`ForeignFormat`]: the formats that [`foreign`](super) decodes.

/// A photo format that the `image` crate does not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io::inputs) enum ForeignFormat {
    /// JPEG XL (ISO/IEC 18181), a codestream or in its container.
    JpegXl,
    /// JPEG 2000 (ISO/IEC 15444), a codestream or in its container.
    Jpeg2000,
    /// AV1 in a HEIF container.
    Avif,
    /// HEVC in a HEIF container, as iPhones write it.
    Heic,
    /// A camera's raw sensor data; the text is the format's name, such as "Canon raw" or "camera raw".
    CameraRaw(&'static str),
}

impl ForeignFormat {
    /// The name of the format in messages and summaries.
    pub fn name(self) -> &'static str {
        match self {
            ForeignFormat::JpegXl => "JPEG XL",
            ForeignFormat::Jpeg2000 => "JPEG 2000",
            ForeignFormat::Avif => "AVIF",
            ForeignFormat::Heic => "HEIC",
            ForeignFormat::CameraRaw(_) => "camera raw",
        }
    }

    /// Whether this program decodes it without an external one.
    pub fn is_built_in(self) -> bool {
        matches!(self, ForeignFormat::JpegXl | ForeignFormat::Jpeg2000)
    }
}
