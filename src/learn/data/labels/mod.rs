//! Labels as they lie on the disk: masks of class ids and maps of depth, whatever encoding they come in.
//!
//! `raster` decodes a file to numbers or colours, one module a format; [`MaskReader`] and [`DepthLabelReader`] say what
//! those mean, and warn where a file contradicts what is about to be done with it.

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

/// Reads a mask of ids of any classes, as [`MaskReader`] does where it is not known what they mean.
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

/// What a label file is called whose format changes numbers to save room; nothing for others.
pub fn lossy_format(path: &Path) -> Option<&'static str> {
    let raster = decode::read(path, &[]).ok()?;
    raster.is_lossy.then_some(raster.format)
}

/// Reads a depth map whose whole numbers are units of 1/`scale` metre, as [`DepthLabelReader`] does without a word.
///
/// # Errors
/// As [`DepthLabelReader::read`].
pub fn read_depth(path: &Path, scale: f64) -> Result<DepthLabel> {
    DepthLabelReader::new(Some(scale), Warnings::silent()).read(path)
}
