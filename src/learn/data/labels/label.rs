//! Labels as the rest of the crate uses them, whatever file they come from: a class id or a depth at every pixel, on
//! the label's own pixel grid.

/// A segmentation label: a class id at every pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Class ids, `[height, width]`; which id stands for no class is up to the data set (usually 255).
    pub ids: Vec<u16>,
}

/// A depth label: a depth at every pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthLabel {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Depths, `[height, width]` in metres; 0 where there is no reading.
    pub metres: Vec<f32>,
}

impl DepthLabel {
    /// The part that `cut` gives for this (width, height), as (left, top, width, height) in pixels.
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
