//! An axis-aligned box of pixels.

/// A rectangle of whole pixels of a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelBox {
    /// Its left column, from 0.
    pub x: usize,
    /// Its upper row, from 0.
    pub y: usize,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

impl PixelBox {
    /// The smallest box that holds both.
    pub fn union(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let right = (self.x + self.width).max(other.x + other.width);
        let bottom = (self.y + self.height).max(other.y + other.height);
        PixelBox {
            x,
            y,
            width: right - x,
            height: bottom - y,
        }
    }

    /// `[x, y, width, height]`, the order of COCO.
    pub fn xywh(self) -> [usize; 4] {
        [self.x, self.y, self.width, self.height]
    }
}
