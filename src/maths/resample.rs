//! Taps for sampling a grid along one axis at a time: bilinear with half-pixel centres and clamped edges, as in
//! PyTorch's `interpolate(mode="bilinear", align_corners=False)`, or nearest.

use std::ops::Range;

/// Positions of samples along one axis of a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleAxis {
    /// Number of cells of the grid along the axis.
    pub cells: usize,
    /// Per sample, its position in cells from the edge: cell `i` covers `[i, i + 1)`.
    pub positions: Vec<f32>,
}

/// The two cells that a sample interpolates between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearTaps {
    /// Index of the first cell.
    pub low: usize,
    /// Index of the second cell.
    pub high: usize,
    /// Weight of the second cell, 0 to 1.
    pub weight: f32,
}

/// Neighbouring samples between the same two cells, which are interpolated together.
#[derive(Debug, Clone, PartialEq)]
pub struct TapRun {
    /// Index of the first cell.
    pub low: usize,
    /// Index of the second cell.
    pub high: usize,
    /// Indices of the samples.
    pub samples: Range<usize>,
    /// Weight of the second cell, per sample.
    pub weights: Vec<f32>,
}

/// Groups the samples of `taps` into runs between the same cells, in their order.
pub fn tap_runs(taps: &[LinearTaps]) -> Vec<TapRun> {
    let mut end = 0;
    taps.chunk_by(|a, b| (a.low, a.high) == (b.low, b.high))
        .map(|run| {
            let start = end;
            end += run.len();
            TapRun {
                low: run[0].low,
                high: run[0].high,
                samples: start..end,
                weights: run.iter().map(|taps| taps.weight).collect(),
            }
        })
        .collect()
}

impl SampleAxis {
    /// `factor` samples per cell, evenly spaced.
    pub fn subdivided(cells: usize, factor: usize) -> Self {
        let positions = (0..cells * factor)
            .map(|i| (i as f32 + 0.5) / factor as f32)
            .collect();
        Self { cells, positions }
    }

    /// `samples` evenly spaced samples over all `cells`.
    pub fn stretched(cells: usize, samples: usize) -> Self {
        let positions = (0..samples)
            .map(|i| (i as f32 + 0.5) * cells as f32 / samples as f32)
            .collect();
        Self { cells, positions }
    }

    /// The taps for bilinear interpolation between cell centres, clamped at the edges.
    pub fn bilinear(&self) -> Vec<LinearTaps> {
        let last = self.cells - 1;
        let taps = |&position: &f32| {
            let centre = (position - 0.5).clamp(0.0, last as f32);
            let low = centre as usize;
            LinearTaps {
                low,
                high: (low + 1).min(last),
                weight: centre - low as f32,
            }
        };
        self.positions.iter().map(taps).collect()
    }

    /// The cell that each sample lies in, as taps with weight 0.
    pub fn nearest(&self) -> Vec<LinearTaps> {
        let last = self.cells - 1;
        let taps = |&position: &f32| {
            let low = (position as usize).min(last);
            LinearTaps {
                low,
                high: low,
                weight: 0.0,
            }
        };
        self.positions.iter().map(taps).collect()
    }
}

/// `out = upper + (lower - upper) * weight`: interpolation between two rows, the first half of a bilinear sample.
#[inline]
pub fn mix_rows(out: &mut [f32], upper: &[f32], lower: &[f32], weight: f32) {
    for ((o, &a), &b) in out.iter_mut().zip(upper).zip(lower) {
        *o = a + (b - a) * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finer_samples_are_torchs() {
        // Two cells, four times as fine: src = (i + 0.5) / 4 - 0.5, clamped.
        let taps = SampleAxis::subdivided(2, 4).bilinear();
        let at: Vec<f32> = taps.iter().map(|t| t.low as f32 + t.weight).collect();
        assert_eq!(at, [0.0, 0.0, 0.125, 0.375, 0.625, 0.875, 1.0, 1.0]);
        assert!(taps.iter().all(|t| t.high <= 1));
    }

    #[test]
    fn nearest_stays_inside() {
        let axis = SampleAxis {
            cells: 2,
            positions: vec![0.0, 0.99, 1.0, 2.0],
        };
        assert_eq!(
            axis.nearest().iter().map(|t| t.low).collect::<Vec<_>>(),
            [0, 0, 1, 1]
        );
    }
}
