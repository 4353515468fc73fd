//! Photo formats beyond those of the `image` crate: bytes to a [`SourceRaster`].
//!
//! JPEG XL and JPEG 2000 are decoded by Rust crates; AVIF, HEIC and camera raw by an external program. A new format of
//! either kind gets a variant of [`ForeignFormat`], a signature in [`sniff`](super::sniff) and an arm in [`decode`].

mod convert;
pub(super) mod format;
mod jpeg2000;
mod jpeg_xl;

use super::footprint::Footprint;
use super::raster::SourceRaster;

pub(super) use format::ForeignFormat;
pub(super) use jpeg_xl::count_frames as jpeg_xl_frames;

/// Checks that this machine can decode `format`.
///
/// # Errors
/// If not: which program is missing and the command that converts such files, as a part of a sentence about them.
pub(super) fn check_decoder(format: ForeignFormat) -> Result<(), String> {
    match format.is_built_in() {
        true => Ok(()),
        false => convert::find_converters(format).map(|_| ()),
    }
}

/// Decodes a photo of `format`, or frame `frame` (from 0) of one that has several. `max_memory` bytes bound what a
/// decoder allocates; `check` may refuse the [`Footprint`] before that.
///
/// # Errors
/// What is wrong with the file, or which program is missing, as a part of a sentence about it.
pub(super) fn decode(
    format: ForeignFormat,
    bytes: &[u8],
    frame: Option<usize>,
    max_memory: u64,
    check: impl Fn(Footprint) -> Result<(), String>,
) -> Result<SourceRaster, String> {
    match format {
        ForeignFormat::JpegXl => jpeg_xl::decode(bytes, frame.unwrap_or(0), check),
        ForeignFormat::Jpeg2000 => jpeg2000::decode(bytes, check),
        ForeignFormat::Avif | ForeignFormat::Heic | ForeignFormat::CameraRaw(_) => {
            convert::decode(format, bytes, max_memory, check)
        }
    }
}
