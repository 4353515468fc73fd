//! Bilinear upsampling of tokens or scores from a coarse grid to a finer one over the same input, with half-pixel
//! centres and clamped edges (`align_corners=False`). It commutes with a linear layer, so heads upsample scores, which
//! are fewer numbers per cell.

use rayon::prelude::*;

use crate::maths::resample::{LinearTaps, SampleAxis};
use crate::model::input::PatchGrid;

/// The taps from a coarse grid to a fine one, along both axes.
#[derive(Debug, Clone, PartialEq)]
pub struct GridUpsampler {
    coarse: PatchGrid,
    fine: PatchGrid,
    rows: Vec<LinearTaps>,
    cols: Vec<LinearTaps>,
}

impl GridUpsampler {
    /// Upsampling from `coarse` to `fine`.
    pub fn new(coarse: PatchGrid, fine: PatchGrid) -> Self {
        Self {
            coarse,
            fine,
            rows: SampleAxis::stretched(coarse.rows, fine.rows).bilinear(),
            cols: SampleAxis::stretched(coarse.cols, fine.cols).bilinear(),
        }
    }

    /// Adds the coarse grid's `values` `[rows * cols, k]`, interpolated at `cell` (row-major) of the fine grid, to
    /// `out` `[k]`.
    pub fn add_at(&self, cell: usize, values: &[f32], k: usize, out: &mut [f32]) {
        let (row, col) = (
            self.rows[cell / self.fine.cols],
            self.cols[cell % self.fine.cols],
        );
        for (line, share) in [(row.low, 1.0 - row.weight), (row.high, row.weight)] {
            for (at, own) in [(col.low, 1.0 - col.weight), (col.high, col.weight)] {
                let weight = share * own;
                if weight > 0.0 {
                    let values = &values[(line * self.coarse.cols + at) * k..][..k];
                    out.iter_mut()
                        .zip(values)
                        .for_each(|(sum, v)| *sum += weight * v);
                }
            }
        }
    }

    /// Adds the coarse grid's `values` `[rows * cols, k]`, interpolated at every cell of the fine grid, to `sum`
    /// `[rows * cols, k]` over the fine grid.
    pub fn add(&self, values: &[f32], k: usize, sum: &mut [f32]) {
        sum.par_chunks_exact_mut(k)
            .with_min_len(64)
            .enumerate()
            .for_each(|(cell, out)| self.add_at(cell, values, k, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_stays_one_and_edges_are_clamped() {
        let (coarse, fine) = (
            PatchGrid { rows: 2, cols: 3 },
            PatchGrid { rows: 4, cols: 6 },
        );
        // The place of a cell's centre, across and down.
        let values: Vec<f32> = (0..6)
            .flat_map(|i| [(i % 3) as f32 + 0.5, (i / 3) as f32 + 0.5])
            .collect();
        let mut sum = vec![1f32; 2 * 24];
        GridUpsampler::new(coarse, fine).add(&values, 2, &mut sum);
        for (cell, pair) in sum.chunks_exact(2).enumerate() {
            let across = ((cell % 6) as f32 + 0.5) / 2.0;
            let down = ((cell / 6) as f32 + 0.5) / 2.0;
            assert!((pair[0] - 1.0 - across.clamp(0.5, 2.5)).abs() < 1e-6);
            assert!((pair[1] - 1.0 - down.clamp(0.5, 1.5)).abs() < 1e-6);
        }
    }
}
