//! Maps of one f32 a pixel whose rows are computed on demand, in bands: the full-size map of a large photo need not be
//! in memory as a whole. [`BilinearRows`] and [`BicubicRows`] upsample a coarser map, [`InMemoryRows`] wraps a whole
//! one.

use rayon::prelude::*;

use crate::error::Result;
use crate::maths::resample::{LinearTaps, SampleAxis, mix_rows};
use crate::system::memory::try_vec;

/// Values in a band: 64 rows of a map of 4096 columns.
const BAND_VALUES: usize = 1 << 18;

/// A map `[height, width]` whose rows can be computed in any order, any number of times.
pub trait RowSource: Sync {
    /// Width and height in pixels.
    fn size(&self) -> (usize, usize);

    /// Fills `out`, whose length is a multiple of the width, with whole rows from row `first` on.
    fn fill(&self, first: usize, out: &mut [f32]);
}

impl dyn RowSource + '_ {
    /// The value at column `x` of row `y`.
    pub fn at(&self, x: usize, y: usize) -> f32 {
        let mut row = vec![0f32; self.size().0];
        self.fill(y, &mut row);
        row[x]
    }

    /// Calls `each` with bands of whole rows and the row that each begins with, from the top down.
    ///
    /// # Errors
    /// What `each` returns.
    pub fn for_each_band<E>(
        &self,
        mut each: impl FnMut(usize, &[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (width, height) = self.size();
        let rows = (BAND_VALUES / width.max(1)).max(1);
        let mut band = vec![0f32; rows.min(height) * width];
        for first in (0..height).step_by(rows) {
            let band = &mut band[..rows.min(height - first) * width];
            self.fill(first, band);
            each(first, band)?;
        }
        Ok(())
    }

    /// Calls `each` with every value, row by row.
    pub fn for_each(&self, mut each: impl FnMut(f32)) {
        let done = self.for_each_band(|_, band| {
            band.iter().copied().for_each(&mut each);
            Ok::<_, std::convert::Infallible>(())
        });
        done.unwrap_or_else(|never| match never {});
    }

    /// Calls `each` with every `stride`-th value, row by row, the first among them.
    pub fn for_each_nth(&self, stride: usize, mut each: impl FnMut(f32)) {
        let (width, mut next) = (self.size().0, 0);
        let done = self.for_each_band(|first, band| {
            let start = first * width;
            while next < start + band.len() {
                each(band[next - start]);
                next += stride;
            }
            Ok::<_, std::convert::Infallible>(())
        });
        done.unwrap_or_else(|never| match never {});
    }

    /// The smallest and the largest value; `(inf, -inf)` of an empty map.
    pub fn extent(&self) -> (f32, f32) {
        let none = (f32::INFINITY, f32::NEG_INFINITY);
        let wider = |a: (f32, f32), b: (f32, f32)| (a.0.min(b.0), a.1.max(b.1));
        let mut all = none;
        let done = self.for_each_band(|_, band| {
            let parts = band.par_chunks(1 << 12).map(|part| {
                let low = part.iter().copied().fold(none.0, f32::min);
                let high = part.iter().copied().fold(none.1, f32::max);
                (low, high)
            });
            all = wider(all, parts.reduce(|| none, wider));
            Ok::<_, std::convert::Infallible>(())
        });
        done.unwrap_or_else(|never| match never {});
        all
    }

    /// The whole map in memory, `[height, width]`.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if it does not fit.
    pub fn collect(&self) -> Result<Vec<f32>> {
        let (width, height) = self.size();
        let mut values = try_vec(0f32, width * height)?;
        self.fill(0, &mut values);
        Ok(values)
    }
}

/// A map that is in memory as a whole.
#[derive(Debug, Clone, Copy)]
pub struct InMemoryRows<'m> {
    /// Columns.
    pub width: usize,
    /// Its values, `[height, width]`.
    pub values: &'m [f32],
}

impl RowSource for InMemoryRows<'_> {
    fn size(&self) -> (usize, usize) {
        (self.width, self.values.len() / self.width.max(1))
    }

    fn fill(&self, first: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.values[first * self.width..][..out.len()]);
    }
}

/// A coarser map, sampled bilinearly between its cells.
#[derive(Debug, Clone)]
pub struct BilinearRows<'m> {
    /// The coarser map, `[rows, cols]`.
    pub cells: &'m [f32],
    /// Columns of the coarser map.
    pub cols: usize,
    /// The cells that each column of samples mixes.
    pub x: Vec<LinearTaps>,
    /// The rows of cells that each row of samples mixes.
    pub y: Vec<LinearTaps>,
}

impl BilinearRows<'_> {
    /// All samples, `[y.len(), x.len()]`, in memory.
    pub fn to_vec(&self) -> Vec<f32> {
        let mut values = vec![0f32; self.x.len() * self.y.len()];
        self.fill(0, &mut values);
        values
    }
}

impl RowSource for BilinearRows<'_> {
    fn size(&self) -> (usize, usize) {
        (self.x.len(), self.y.len())
    }

    fn fill(&self, first: usize, out: &mut [f32]) {
        out.par_chunks_exact_mut(self.x.len().max(1))
            .zip(&self.y[first..])
            .for_each_init(
                || vec![0f32; self.cols],
                |line, (out, y)| {
                    let row = |y: usize| &self.cells[y * self.cols..][..self.cols];
                    mix_rows(line, row(y.low), row(y.high), y.weight);
                    for (out, x) in out.iter_mut().zip(&self.x) {
                        *out = line[x.low] + (line[x.high] - line[x.low]) * x.weight;
                    }
                },
            );
    }
}

/// The four cells of an axis that a sample mixes, with their weights.
type CubicTaps = [(usize, f32); 4];

/// A coarser map, sampled bicubically between its cells (Keys' cubic with A = -0.75, edges clamped, as in PyTorch's
/// `interpolate(mode="bicubic", align_corners=False)`), and clamped to the range of its values.
#[derive(Debug, Clone)]
pub struct BicubicRows<'m> {
    /// The coarser map, `[rows, cols]`.
    cells: &'m [f32],
    /// Columns of the coarser map.
    cols: usize,
    x: Vec<CubicTaps>,
    y: Vec<CubicTaps>,
    /// The least and the largest value of the coarser map.
    extent: (f32, f32),
}

impl<'m> BicubicRows<'m> {
    /// Samples `cells` `[rows, cols]` at the positions of `x` and `y`.
    pub fn new(cells: &'m [f32], x: &SampleAxis, y: &SampleAxis) -> Self {
        BicubicRows {
            cells,
            cols: x.cells,
            x: cubic_taps(x),
            y: cubic_taps(y),
            extent: (&InMemoryRows {
                width: x.cells,
                values: cells,
            } as &dyn RowSource)
                .extent(),
        }
    }
}

/// The taps of every sample of an axis.
fn cubic_taps(axis: &SampleAxis) -> Vec<CubicTaps> {
    const A: f32 = -0.75;
    let last = axis.cells as f32 - 1.0;
    let near = |d: f32| ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0;
    let far = |d: f32| ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A;
    let taps = |&place: &f32| {
        let centre = place - 0.5;
        let first = centre.floor();
        let t = centre - first;
        let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
        std::array::from_fn(|i| {
            let cell = (first + i as f32 - 1.0).clamp(0.0, last) as usize;
            (cell, weights[i])
        })
    };
    axis.positions.iter().map(taps).collect()
}

impl RowSource for BicubicRows<'_> {
    fn size(&self) -> (usize, usize) {
        (self.x.len(), self.y.len())
    }

    fn fill(&self, first: usize, out: &mut [f32]) {
        let (low, high) = self.extent;
        out.par_chunks_exact_mut(self.x.len().max(1))
            .zip(&self.y[first..])
            .for_each_init(
                || vec![0f32; self.cols],
                |line, (out, y)| {
                    let [a, b, c, d] = y
                        .map(|(row, weight)| (&self.cells[row * self.cols..][..self.cols], weight));
                    for (i, cell) in line.iter_mut().enumerate() {
                        *cell = a.0[i] * a.1 + b.0[i] * b.1 + c.0[i] * c.1 + d.0[i] * d.1;
                    }
                    for (out, x) in out.iter_mut().zip(&self.x) {
                        let sum: f32 = x.iter().map(|&(cell, weight)| line[cell] * weight).sum();
                        *out = sum.clamp(low, high);
                    }
                },
            );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TORCH: [f32; 7] = [
        -0.099_216_47,
        0.156_25,
        0.804_209_2,
        2.781_25,
        4.024_143_6,
        2.865_980_3,
        1.801_567,
    ];

    #[test]
    fn cubic_samples_are_torchs_within_the_extent() {
        // torch.nn.functional.interpolate([[0, 1, 4, 2]], size=(1, 7), mode="bicubic", align_corners=False), in f64.
        let (x, y) = (SampleAxis::stretched(4, 7), SampleAxis::stretched(1, 1));
        let rows = BicubicRows::new(&[0.0, 1.0, 4.0, 2.0], &x, &y);
        let found = (&rows as &dyn RowSource).collect().unwrap();
        let expected = TORCH;
        for ((found, low), expected) in found.iter().zip([0.0; 7]).zip(expected) {
            let expected = f32::clamp(expected, low, 4.0);
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        // The same downwards.
        let rows = BicubicRows::new(&[0.0, 1.0, 4.0, 2.0], &y, &x);
        assert_eq!((&rows as &dyn RowSource).collect().unwrap(), found);
    }

    #[test]
    fn bands_are_the_whole() {
        let cells: Vec<f32> = (0..35).map(|i| ((i * 7) % 11) as f32).collect();
        let upsampled = BilinearRows {
            cells: &cells,
            cols: 7,
            x: SampleAxis::stretched(7, 3000).bilinear(),
            y: SampleAxis::stretched(5, 200).bilinear(),
        };
        let rows: &dyn RowSource = &upsampled;
        let whole = rows.collect().unwrap();
        let mut bands = Vec::new();
        let mut count = 0;
        rows.for_each_band(|first, band| {
            assert_eq!(first * 3000, bands.len());
            bands.extend_from_slice(band);
            count += 1;
            Ok::<_, ()>(())
        })
        .unwrap();
        assert!(count > 1);
        assert_eq!(bands, whole);
        assert_eq!(rows.at(1234, 56), whole[56 * 3000 + 1234]);
        let again = InMemoryRows {
            width: 3000,
            values: &whole,
        };
        assert_eq!(
            (&again as &dyn RowSource).at(2999, 199),
            whole[whole.len() - 1]
        );
        let mut nth = Vec::new();
        rows.for_each_nth(97, |value| nth.push(value));
        assert!(nth.iter().eq(whole.iter().step_by(97)));
        let low = whole.iter().copied().fold(f32::INFINITY, f32::min);
        let high = whole.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert_eq!(rows.extent(), (low, high));
        let mut sum = 0f64;
        rows.for_each(|value| sum += f64::from(value));
        assert_eq!(sum, whole.iter().map(|&v| f64::from(v)).sum::<f64>());
    }
}
