//! The patch grid of a padded input; patch tokens are row-major over it, `[rows * cols, D]`.

/// Rows and columns of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PatchGrid {
    /// Rows of patches.
    pub rows: usize,
    /// Columns of patches.
    pub cols: usize,
}

impl PatchGrid {
    /// Number of patches.
    pub fn len(self) -> usize {
        self.rows * self.cols
    }

    /// Whether there is no patch at all.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}
