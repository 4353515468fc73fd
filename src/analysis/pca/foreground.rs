//! The foreground split of the DINOv2 paper (Oquab et al., 2023): the first principal component of all patches
//! separates object from background.
//!
//! Its sign is arbitrary, so the side with the smaller share of patches at the border of the pictures is the
//! foreground; Otsu's method (1979) finds the threshold.

use crate::analysis::pca::basis::Basis;
use crate::error::{Error, Result};
use crate::model::input::PatchGrid;

/// A threshold on the first principal component.
#[derive(Debug, Clone, PartialEq)]
pub struct ForegroundSplit {
    /// The basis whose first component is thresholded.
    pub basis: Basis,
    /// The score that separates the two sides.
    pub threshold: f64,
    /// Whether scores above the threshold are foreground.
    pub above: bool,
}

impl ForegroundSplit {
    /// Whether each of `tokens` `[N, D]` is foreground, `[N]`.
    pub fn mask(&self, tokens: &[f32]) -> Vec<bool> {
        let scores = self.basis.project(tokens, &[0], false);
        scores
            .iter()
            .map(|&score| (f64::from(score) > self.threshold) == self.above)
            .collect()
    }
}

/// Numbers of patches above and below a threshold, and how many of them lie at the border of their picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BorderCount {
    /// All patches above, and those at the border.
    above: (u64, u64),
    /// All patches not above, and those at the border.
    below: (u64, u64),
}

impl BorderCount {
    /// Adds the patches of one picture by their `scores` `[rows * cols]`.
    pub fn add(&mut self, scores: &[f32], grid: PatchGrid, threshold: f64) {
        for (index, &score) in scores.iter().enumerate() {
            let (y, x) = (index / grid.cols, index % grid.cols);
            let border = y == 0 || x == 0 || y + 1 == grid.rows || x + 1 == grid.cols;
            let side = if f64::from(score) > threshold {
                &mut self.above
            } else {
                &mut self.below
            };
            side.0 += 1;
            side.1 += u64::from(border);
        }
    }

    /// Whether the side above the threshold is the foreground: the smaller share of it lies at the border.
    pub fn foreground_is_above(&self) -> bool {
        let share = |(all, border): (u64, u64)| border as f64 / all.max(1) as f64;
        share(self.above) <= share(self.below)
    }
}

/// Otsu's threshold of values in rising order: the split with the largest variance between its two sides, halfway
/// between the two neighbours.
///
/// # Errors
/// [`Error::Model`] if all values are equal, or there are none.
pub fn otsu_threshold(sorted: &[f32]) -> Result<f64> {
    let n = sorted.len();
    let total: f64 = sorted.iter().map(|&v| f64::from(v)).sum();
    let (mut best, mut threshold, mut low) = (0.0, None, 0.0);
    for count in 1..n {
        low += f64::from(sorted[count - 1]);
        if sorted[count] == sorted[count - 1] {
            continue;
        }
        let (below, above) = (count as f64, (n - count) as f64);
        let gap = low / below - (total - low) / above;
        let between = below * above * gap * gap;
        if between > best {
            best = between;
            threshold = Some((f64::from(sorted[count - 1]) + f64::from(sorted[count])) / 2.0);
        }
    }
    threshold.ok_or_else(|| {
        Error::Model("--foreground auto: all patches are alike, so there is no foreground; use --foreground none".into())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn otsu_finds_the_gap() {
        let threshold = otsu_threshold(&[0.0, 0.1, 0.2, 5.0, 5.1]).unwrap();
        assert!((threshold - 2.6).abs() < 1e-6);
    }

    #[test]
    fn otsu_of_equal_values_is_an_error() {
        assert!(
            otsu_threshold(&[1.0; 9])
                .unwrap_err()
                .to_string()
                .contains("--foreground none")
        );
        assert!(otsu_threshold(&[]).is_err());
    }

    #[test]
    fn the_middle_is_foreground() {
        let grid = PatchGrid { rows: 3, cols: 3 };
        let mut scores = [0f32; 9];
        scores[4] = 1.0;
        let mut count = BorderCount::default();
        count.add(&scores, grid, 0.5);
        assert!(count.foreground_is_above());
        scores.iter_mut().for_each(|v| *v = 1.0 - *v);
        let mut count = BorderCount::default();
        count.add(&scores, grid, 0.5);
        assert!(!count.foreground_is_above());
    }
}
