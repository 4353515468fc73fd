//! Label files: masks of class ids and depth maps, in whatever format and encoding they come.
//!
//! In: the path of a label. Out: a [`Mask`] or a [`DepthLabel`]. `decode` turns the bytes of a file into a `raster` of
//! numbers or colours, one module for each format; [`MaskReader`] and [`DepthLabelReader`] give those their meaning,
//! and warn where a file contradicts it. How a format is added is written in `decode`.

mod bmp;
mod colors;
mod decode;
mod depth;
mod dino_masks;
mod exr;
mod gif;
mod label;
mod mask;
mod npy;
mod palette;
mod pfm;
mod pgm;
mod png;
mod raster;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod tiff;

use std::path::Path;

pub use depth::DepthLabelReader;
pub use label::{DepthLabel, Mask};
pub use mask::MaskReader;

use crate::error::Result;
use crate::terminal::warnings::Warnings;

/// Reads a mask whose classes are not known: every number is an id, and 255 stands for no class.
///
/// # Errors
/// As [`MaskReader::read`]; colours are refused.
pub fn read_mask(path: &Path) -> Result<Mask> {
    let reader = MaskReader {
        classes: &[],
        id_count: None,
        ignore: 255,
        warnings: &Warnings::silent(),
    };
    reader.read(path)
}

/// The name of the format of a label file, where that is lossy (JPEG, lossy WebP); none for other files.
pub fn lossy_format(path: &Path) -> Option<&'static str> {
    let raster = decode::read(path, &[]).ok()?;
    raster.is_lossy.then_some(raster.format)
}

/// Reads a depth map whose whole numbers are units of 1/`scale` metre, without warnings.
///
/// # Errors
/// As [`DepthLabelReader::read`].
pub fn read_depth(path: &Path, scale: f64) -> Result<DepthLabel> {
    DepthLabelReader::new(Some(scale), Warnings::silent()).read(path)
}
