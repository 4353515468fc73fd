//! Where in a photo something is.

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelBox {
    /// Of its left column.
    pub x: usize,
    /// Of its upper row.
    pub y: usize,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

impl PixelBox {
    /// Around both.
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

    /// As COCO has it: x, y, width, height.
    pub fn xywh(self) -> [usize; 4] {
        [self.x, self.y, self.width, self.height]
    }
}
