//! Labels as the rest of the crate uses them, whatever file they come from: a class id or a depth at every pixel, on the
//! label's own pixel grid.

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
