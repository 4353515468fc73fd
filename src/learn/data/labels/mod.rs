//! Labels as they lie on the disk: masks of class ids and maps of depth, whatever encoding they come in.
//!
//! `raster` decodes a file to numbers or colours, one module a format; [`MaskReader`] and [`DepthLabelReader`] say what
//! those mean, and warn where a file contradicts what is about to be done with it.

mod bmp;
mod colors;
mod depth;
mod dino_masks;
mod exr;
mod gif;
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
pub use mask::MaskReader;

use crate::error::Result;
use crate::terminal::warnings::Warnings;

/// A class id at every pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// `[height, width]`.
    pub ids: Vec<u16>,
}

/// A depth at every pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthLabel {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// `[height, width]`, metres; 0 where there is no reading.
    pub metres: Vec<f32>,
}

impl DepthLabel {
    /// The part that `cut` gives for this size: left, top, width, height.
    pub fn crop(&self, cut: impl Fn((u32, u32)) -> (u32, u32, u32, u32)) -> Self {
        let (x, y, width, height) = cut((self.width as u32, self.height as u32));
        let (x, y, width, height) = (x as usize, y as usize, width as usize, height as usize);
        let rows = self.metres.chunks_exact(self.width.max(1));
        let metres = rows.skip(y).take(height);
        Self {
            width,
            height,
            metres: metres.flat_map(|row| &row[x..x + width]).copied().collect(),
        }
    }
}

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
    let raster = raster::read(path, &[]).ok()?;
    raster.is_lossy.then_some(raster.format)
}

/// Reads a depth map whose whole numbers are units of 1/`scale` metre, as [`DepthLabelReader`] does without a word.
///
/// # Errors
/// As [`DepthLabelReader::read`].
pub fn read_depth(path: &Path, scale: f64) -> Result<DepthLabel> {
    DepthLabelReader::new(Some(scale), Warnings::silent()).read(path)
}
