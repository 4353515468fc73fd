//! Photo formats beyond those of the `image` crate: decoded here where a crate in plain Rust does it, else by a program
//! that is installed beside this one.

mod convert;
mod jpeg2000;
mod jpeg_xl;

use super::footprint::Footprint;
use super::raster::SourceRaster;

/// A photo format with a decoder of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ForeignFormat {
    JpegXl,
    Jpeg2000,
    /// AV1 in a HEIF container.
    Avif,
    /// HEVC in a HEIF container, as iPhones write it.
    Heic,
    /// What a sensor saw, by the camera's maker.
    CameraRaw(&'static str),
}

impl ForeignFormat {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            ForeignFormat::JpegXl => "JPEG XL",
            ForeignFormat::Jpeg2000 => "JPEG 2000",
            ForeignFormat::Avif => "AVIF",
            ForeignFormat::Heic => "HEIC",
            ForeignFormat::CameraRaw(_) => "camera raw",
        }
    }

    /// Whether this machine can decode it; else how to help it.
    ///
    /// # Errors
    /// What is missing and the command that converts such files, as a part of a sentence about them.
    pub fn check(self) -> Result<(), String> {
        match self {
            ForeignFormat::JpegXl | ForeignFormat::Jpeg2000 => Ok(()),
            other => convert::find_converters(other).map(|_| ()),
        }
    }

    /// Whether its header can be read here, without another program.
    pub fn is_built_in(self) -> bool {
        matches!(self, ForeignFormat::JpegXl | ForeignFormat::Jpeg2000)
    }

    /// Decodes it; `page` counts from 0 where there are several.
    ///
    /// # Errors
    /// What is wrong with it, or which program is missing, as a part of a sentence about the file.
    pub fn decode(
        self,
        bytes: &[u8],
        page: Option<usize>,
        max_memory: u64,
        check: impl Fn(Footprint) -> Result<(), String>,
    ) -> Result<SourceRaster, String> {
        match self {
            ForeignFormat::JpegXl => jpeg_xl::decode(bytes, page.unwrap_or(0), check),
            ForeignFormat::Jpeg2000 => jpeg2000::decode(bytes, check),
            other => convert::decode(other, bytes, max_memory, check),
        }
    }
}

/// Frames of a JPEG XL, at least 1.
pub(super) fn jpeg_xl_frames(bytes: &[u8]) -> u32 {
    jpeg_xl::count_frames(bytes)
}
