//! From the output of a depth head to a [`DepthMap`]: [`Scores`] over the head's grid become depths and their standard
//! deviations, first over the padded input, then at the photo's pixels.
//!
//! With bins, as in DINOv2's linear head: the scores are upsampled, `p = relu(score) + 0.1` is normalised over the
//! bins, and the depth is the expected bin centre. The standard deviation of the bin centres under `p` measures the
//! head's uncertainty, but unscaled it is far too large, since every bin has at least the weight 0.1. A factor fitted
//! on photos kept out of training (standard deviation scaling; Levi et al., 2022) brings it to the size of the errors.
//!
//! # Units
//! Depths are in the unit of the head: metres along the optical axis, or for heads of relative inverse depth (Depth
//! Anything, MiDaS) a number without unit that is larger for nearer points, up to an unknown scale and shift.
//! Deviations are in the same unit. [`metres`](crate::vision::postprocess::metres) converts the latter kind, once scale
//! and shift are known.

use rayon::prelude::*;

use crate::maths::resample::{SampleAxis, mix_rows};
use crate::model::head::{DepthReadout, Scores};
use crate::model::input::{Geometry, Unpad};
use crate::vision::postprocess::rows::{BicubicRows, BilinearRows, RowSource};

/// Added to every rectified bin score, so that the sum is never zero.
const FLOOR: f32 = 0.1;

/// Whether and how the standard deviation over the bins is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BinSpread {
    /// Not computed.
    Omitted,
    /// The standard deviation of the bin centres under the head's probabilities.
    Unscaled,
    /// The same times this factor, from the head's calibration.
    Scaled(f32),
}

/// How the scores of a depth head become depths; all values are in the head's unit.
#[derive(Debug, Clone, PartialEq)]
pub enum DepthDecoder {
    /// One score a bin; the depth is the expected bin centre.
    Bins {
        /// Centre of each bin, in the head's unit.
        centres: Vec<f32>,
        /// Samples along the side of a patch at which the scores are decoded.
        upsample: usize,
        /// Whether and how the standard deviation is computed.
        spread: BinSpread,
    },
    /// One score; the depth is the score plus `min`, clamped to `min..=max`.
    Direct {
        /// The least depth.
        min: f32,
        /// The greatest depth.
        max: f32,
    },
    /// One score, whose logistic function times `whole` is the depth.
    Sigmoid {
        /// The depth at the upper end of the logistic function.
        whole: f32,
    },
    /// One score, the relative inverse depth itself, never below `farthest`.
    Inverse {
        /// The least value, that of the farthest points.
        farthest: f32,
    },
}

impl DepthDecoder {
    /// The decoder for a head with this `readout`; `spread` only matters to one with bins.
    pub fn new(readout: &DepthReadout, spread: BinSpread) -> Self {
        match *readout {
            DepthReadout::Bins { bins, upsample } => DepthDecoder::Bins {
                centres: bins.centres(),
                upsample,
                spread,
            },
            DepthReadout::Direct { min, max } => DepthDecoder::Direct {
                min: min as f32,
                max: max as f32,
            },
            DepthReadout::Sigmoid { whole } => DepthDecoder::Sigmoid {
                whole: whole as f32,
            },
            DepthReadout::Inverse { farthest } => DepthDecoder::Inverse {
                farthest: farthest as f32,
            },
        }
    }

    /// Decodes `scores` to a map over their grid, `upsample` times as fine for a head with bins. Deviations are empty
    /// unless the head has bins and a [`BinSpread`] asks for them.
    pub fn decode(&self, scores: &Scores) -> DepthMap {
        let each = |depth: &dyn Fn(f32) -> f32| DepthMap {
            width: scores.grid.cols,
            height: scores.grid.rows,
            depth: scores.values.iter().copied().map(depth).collect(),
            deviation: Vec::new(),
        };
        match self {
            DepthDecoder::Bins {
                centres,
                upsample,
                spread,
            } => decode_bins(scores, centres, *upsample, *spread),
            DepthDecoder::Direct { min, max } => each(&|above| (above + min).clamp(*min, *max)),
            DepthDecoder::Sigmoid { whole } => each(&|score| whole / (1.0 + (-score).exp())),
            DepthDecoder::Inverse { farthest } => each(&|score| score.max(*farthest)),
        }
    }
}

/// Depth at every pixel, and its standard deviation.
///
/// The unit is the head's: metres along the optical axis, or relative inverse depth, which has no unit and is larger
/// for nearer points. A map covers either the padded input, as [`decode_photo`] gives it, or the photo, as
/// [`DepthMap::to_photo`] does.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthMap {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width]`, in the head's unit (metres or relative inverse depth).
    pub depth: Vec<f32>,
    /// Standard deviation of each depth, `[height, width]`, in the same unit; empty where it was not requested, and
    /// where the head has no bins.
    pub deviation: Vec<f32>,
}

/// Decodes bin scores `[rows, cols, k]` with the `k` bin `centres`, at `upsample` samples along the side of a patch.
pub fn decode_bins(
    scores: &Scores,
    centres: &[f32],
    upsample: usize,
    spread: BinSpread,
) -> DepthMap {
    let (k, cols) = (scores.k, scores.grid.cols);
    assert_eq!(k, centres.len(), "one score a bin");
    let y_taps = SampleAxis::subdivided(scores.grid.rows, upsample).bilinear();
    let x_taps = SampleAxis::subdivided(cols, upsample).bilinear();
    let (width, height) = (x_taps.len(), y_taps.len());
    let mut both = vec![(0f32, 0f32); width * height];
    both.par_chunks_exact_mut(width).zip(&y_taps).for_each_init(
        || (vec![0f32; cols * k], vec![0f32; k]),
        |(line, pixel), (out, y)| {
            let row = |y: usize| &scores.values[y * cols * k..][..cols * k];
            mix_rows(line, row(y.low), row(y.high), y.weight);
            for (out, x) in out.iter_mut().zip(&x_taps) {
                mix_rows(
                    pixel,
                    &line[x.low * k..][..k],
                    &line[x.high * k..][..k],
                    x.weight,
                );
                *out = expectation(pixel, centres);
                if let BinSpread::Scaled(scale) = spread {
                    out.1 *= scale;
                }
            }
        },
    );
    let (depth, mut deviation): (Vec<f32>, Vec<f32>) = both.into_iter().unzip();
    if spread == BinSpread::Omitted {
        deviation = Vec::new();
    }
    DepthMap {
        width,
        height,
        depth,
        deviation,
    }
}

/// Decodes the scores of a photo's input to a map over the padded input; with those of the mirrored input, to the mean
/// of both ([`DepthMap::mean_with_mirrored`]).
///
/// Depths of patches that are partly padding are wrong, and would show as stripes along the photo's edges: under
/// [`Unpad::Crop`], if the scores are over the patch grid, they take the scores of their inner neighbours.
pub fn decode_photo(
    scores: &Scores,
    mirrored: Option<&Scores>,
    geometry: &Geometry,
    decoder: &DepthDecoder,
) -> DepthMap {
    let fill = geometry.unpad == Unpad::Crop && scores.grid == geometry.grid();
    let read = |scores: &Scores| match fill {
        true => decoder.decode(&replace_padded_scores(scores, geometry)),
        false => decoder.decode(scores),
    };
    let map = read(scores);
    match mirrored {
        Some(mirrored) => map.mean_with_mirrored(&read(mirrored)),
        None => map,
    }
}

/// Replaces the scores of patches at padded edges by those of their inner neighbours. Where an axis is padded, both of
/// its ends are replaced, so that a mirrored input is treated alike.
fn replace_padded_scores(scores: &Scores, geometry: &Geometry) -> Scores {
    let mut scores = scores.clone();
    let (rows, cols, k) = (scores.grid.rows, scores.grid.cols, scores.k);
    if geometry.padded.0 > geometry.resized.0 && cols > 2 {
        for row in scores.values.chunks_exact_mut(cols * k) {
            row.copy_within(k..2 * k, 0);
            row.copy_within((cols - 2) * k..(cols - 1) * k, (cols - 1) * k);
        }
    }
    if geometry.padded.1 > geometry.resized.1 && rows > 2 {
        let line = cols * k;
        scores.values.copy_within(line..2 * line, 0);
        let last = (rows - 2) * line..(rows - 1) * line;
        scores.values.copy_within(last, (rows - 1) * line);
    }
    scores
}

/// Mean and standard deviation of the bin centres under the scores of one pixel.
fn expectation(scores: &[f32], centres: &[f32]) -> (f32, f32) {
    let (mut sum, mut first, mut second) = (0f32, 0f32, 0f32);
    for (&score, &centre) in scores.iter().zip(centres) {
        let p = score.max(0.0) + FLOOR;
        sum += p;
        first += p * centre;
        second += p * centre * centre;
    }
    let mean = first / sum;
    (mean, (second / sum - mean * mean).max(0.0).sqrt())
}

impl DepthMap {
    /// Whether all depths and deviations are finite.
    pub fn is_finite(&self) -> bool {
        let all = |values: &[f32]| values.iter().all(|value| value.is_finite());
        all(&self.depth) && all(&self.deviation)
    }

    /// Resamples a map over the padded input to the photo's pixels by the geometry's [`Unpad`]: bilinearly, or for
    /// [`Unpad::Cubic`] bicubically (deviations always bilinearly).
    pub fn to_photo(&self, geometry: &Geometry) -> DepthMap {
        let (x, y) = self.photo_axes(geometry);
        let mut map = self.sample(&x, &y);
        if geometry.unpad == Unpad::Cubic {
            BicubicRows::new(&self.depth, &x, &y).fill(0, &mut map.depth);
        }
        map
    }

    /// The positions of the photo's columns and rows on the cells of this map.
    fn photo_axes(&self, geometry: &Geometry) -> (SampleAxis, SampleAxis) {
        let axis = |places: Vec<f32>, cells: usize, patches: usize| {
            let factor = cells as f32 / patches as f32;
            SampleAxis {
                cells,
                positions: places.into_iter().map(|place| place * factor).collect(),
            }
        };
        let grid = geometry.grid();
        (
            axis(geometry.column_positions(), self.width, grid.cols),
            axis(geometry.row_positions(), self.height, grid.rows),
        )
    }

    /// The depths at the photo's pixels, equal to those of [`DepthMap::to_photo`], computed a few rows at a time.
    pub fn depth_rows(&self, geometry: &Geometry) -> Box<dyn RowSource + '_> {
        match geometry.unpad {
            Unpad::Cubic => {
                let (x, y) = self.photo_axes(geometry);
                Box::new(BicubicRows::new(&self.depth, &x, &y))
            }
            Unpad::Crop | Unpad::Squeeze => Box::new(self.rows(&self.depth, geometry)),
        }
    }

    /// The standard deviations at the photo's pixels, computed a few rows at a time; none if the map has none.
    pub fn deviation_rows(&self, geometry: &Geometry) -> Option<BilinearRows<'_>> {
        let known = !self.deviation.is_empty();
        known.then(|| self.rows(&self.deviation, geometry))
    }

    fn rows<'m>(&self, cells: &'m [f32], geometry: &Geometry) -> BilinearRows<'m> {
        let (x, y) = self.photo_axes(geometry);
        BilinearRows {
            cells,
            cols: self.width,
            x: x.bilinear(),
            y: y.bilinear(),
        }
    }

    /// Resizes to `width` x `height` bilinearly (half-pixel centres, edges clamped).
    pub fn resize(&self, width: usize, height: usize) -> DepthMap {
        self.sample(
            &SampleAxis::stretched(self.width, width),
            &SampleAxis::stretched(self.height, height),
        )
    }

    fn sample(&self, x: &SampleAxis, y: &SampleAxis) -> DepthMap {
        let plane = |cells: &[f32]| {
            BilinearRows {
                cells,
                cols: self.width,
                x: x.bilinear(),
                y: y.bilinear(),
            }
            .to_vec()
        };
        DepthMap {
            width: x.positions.len(),
            height: y.positions.len(),
            depth: plane(&self.depth),
            deviation: match self.deviation.is_empty() {
                true => Vec::new(),
                false => plane(&self.deviation),
            },
        }
    }

    /// The equal mixture of this map and of that of the mirrored photo, which is mirrored back: the mean of the depths,
    /// and the standard deviation of the mixture.
    pub fn mean_with_mirrored(mut self, mirrored: &DepthMap) -> DepthMap {
        let width = self.width;
        for y in 0..self.height {
            for x in 0..width {
                let (own, other) = (y * width + x, y * width + width - 1 - x);
                let (a, b) = (self.depth[own], mirrored.depth[other]);
                self.depth[own] = 0.5 * (a + b);
                if self.deviation.is_empty() {
                    continue;
                }
                let (s, t) = (self.deviation[own], mirrored.deviation[other]);
                // Variance of a mixture: the mean of the variances plus the variance of the means.
                let variance = 0.5 * (s * s + t * t) + 0.25 * (a - b) * (a - b);
                self.deviation[own] = variance.sqrt();
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::PatchGrid;

    #[test]
    fn no_score_gives_the_mean_of_the_bins() {
        let scores = Scores {
            values: vec![-1.0; 8],
            k: 4,
            grid: PatchGrid { rows: 1, cols: 2 },
        };
        let map = decode_bins(&scores, &[1.0, 2.0, 3.0, 4.0], 4, BinSpread::Unscaled);
        assert_eq!((map.width, map.height), (8, 4));
        assert!(map.depth.iter().all(|d| (d - 2.5).abs() < 1e-6));
        assert!(
            map.deviation
                .iter()
                .all(|d| (d - 1.25f32.sqrt()).abs() < 1e-5)
        );
    }

    #[test]
    fn a_strong_bin_wins() {
        let scores = Scores {
            values: vec![0.0, 0.0, 1e5, 0.0],
            k: 4,
            grid: PatchGrid { rows: 1, cols: 1 },
        };
        let map = decode_bins(&scores, &[1.0, 2.0, 3.0, 4.0], 1, BinSpread::Unscaled);
        assert!((map.depth[0] - 3.0).abs() < 1e-3 && map.deviation[0] < 0.02);
    }

    #[test]
    fn a_scale_changes_the_spread_and_no_depth() {
        let scores = Scores {
            values: vec![0.3, 2.0, 0.9, 0.0],
            k: 4,
            grid: PatchGrid { rows: 1, cols: 1 },
        };
        let read = |spread| decode_bins(&scores, &[1.0, 2.0, 3.0, 4.0], 1, spread);
        // p = .4, 2.1, 1, .1 of 3.6.
        let mean = (0.4 + 4.2 + 3.0 + 0.4) / 3.6f64;
        let squares = (0.4 + 8.4 + 9.0 + 1.6) / 3.6;
        let expected = (squares - mean * mean).sqrt();
        let (plain, half) = (read(BinSpread::Unscaled), read(BinSpread::Scaled(0.5)));
        assert_eq!(half.depth, plain.depth);
        assert!((f64::from(plain.deviation[0]) - expected).abs() < 1e-5);
        assert!((f64::from(half.deviation[0]) - 0.5 * expected).abs() < 1e-5);
        assert!(read(BinSpread::Omitted).deviation.is_empty());
    }

    #[test]
    fn patches_in_the_padding_are_replaced_on_padded_axes_only() {
        let scores = Scores {
            values: (0..12).map(|v| v as f32).collect(),
            k: 1,
            grid: PatchGrid { rows: 3, cols: 4 },
        };
        let wide = Geometry {
            photo: (50, 42),
            resized: (50, 42),
            padded: (56, 42),
            pad_left: 3,
            pad_top: 0,
            patch_size: 14,
            reduced: false,
            unpad: Unpad::Crop,
        };
        let filled = replace_padded_scores(&scores, &wide);
        assert_eq!(
            filled.values,
            [1., 1., 2., 2., 5., 5., 6., 6., 9., 9., 10., 10.]
        );
        let tall = Geometry {
            resized: (56, 40),
            pad_left: 0,
            ..wide
        };
        let filled = replace_padded_scores(&scores, &tall);
        assert_eq!(filled.values, [4., 5., 6., 7.].repeat(3));
        let whole = Geometry {
            resized: (56, 42),
            pad_left: 0,
            ..wide
        };
        assert_eq!(replace_padded_scores(&scores, &whole), scores);
    }

    #[test]
    fn padding_is_cut_off() {
        // One row of three cells; the photo lies in the middle one.
        let map = DepthMap {
            width: 3,
            height: 1,
            depth: vec![9.0, 5.0, 9.0],
            deviation: vec![0.0; 3],
        };
        let geometry = Geometry {
            photo: (2, 2),
            resized: (1, 1),
            padded: (3, 1),
            pad_left: 1,
            pad_top: 0,
            patch_size: 1,
            reduced: false,
            unpad: Unpad::Crop,
        };
        let photo = map.to_photo(&geometry);
        assert_eq!(photo.depth, [6.0, 6.0, 6.0, 6.0]);
    }

    #[test]
    fn a_mirror_image_is_turned_back() {
        let map = |depth: [f32; 2], deviation: [f32; 2]| DepthMap {
            width: 2,
            height: 1,
            depth: depth.to_vec(),
            deviation: deviation.to_vec(),
        };
        let mean = map([1.0, 5.0], [3.0, 1.0]).mean_with_mirrored(&map([5.0, 9.0], [1.0, 3.0]));
        assert_eq!(mean.depth, [5.0, 5.0]);
        // Half of the weight at 1 +- 3, half at 9 +- 3.
        assert_eq!(mean.deviation, [5.0, 1.0]);
    }
}
