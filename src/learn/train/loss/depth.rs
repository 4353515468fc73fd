//! The loss of depth heads, on the grid that the head is read out on, four times as fine as the patches. The scores of
//! a tile of patches are interpolated first and turned into depths as in prediction: `p_b = max(score_b, 0) + 0.1`,
//! `depth = sum_b p_b centre_b / sum_b p_b`.
//!
//! With `e = ln depth - ln truth` at the `n` labelled points of a mini-batch, the loss is the weighted sum of
//! - SILog, the scale-invariant logarithmic error (Eigen et al., 2014; `SigLoss` in the DINOv2 code):
//!   `sqrt(mean(e^2) - lambda mean(e)^2)`;
//! - gradient matching (Li and Snavely, "MegaDepth", 2018; `GradientLoss` in the DINOv2 code): at strides 1, 2 and 4
//!   the sum of `|e_i - e_j|` over pairs of points two strides apart in a row or column, divided by the labelled points
//!   of that stride, and the mean over the strides;
//! - the mean absolute error `mean(|depth - truth|)` in metres;
//! - cross-entropy with a soft target over the bins: `mean(-sum_b q_b ln(p_b / sum p))`, where `q` is a Gaussian of
//!   standard deviation 0.1 around `ln truth` over the logarithms of the bin centres, scaled to sum 1.

use rayon::prelude::*;

use crate::learn::train::targets::{POINTS, TILE, UPSAMPLE};
use crate::maths::resample::mix_rows;

/// The weights of the parts of the loss, and the bins that depths are read from.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthLoss {
    /// Bin centres in metres, one for each output of the head.
    pub centres: Vec<f32>,
    /// How much of the common scale error SILog forgives, 0..1: 0.85 in DINOv2.
    pub lambda: f64,
    /// Weight of the gradient matching: 0.5 in DINOv2.
    pub gradient: f64,
    /// Weight of the mean absolute error in metres; 0 leaves it out.
    pub absolute: f64,
    /// Weight of the cross-entropy with the soft target over the bins; 0 leaves it out.
    pub bins: f64,
}

/// Added to the rectified score of every bin, as in prediction.
const FLOOR: f32 = 0.1;
/// Standard deviation of the soft target over the bins, in `ln` metres.
const BIN_SIGMA: f32 = 0.1;
/// Strides of the gradient matching, in points of the tile.
const STRIDES: [usize; 3] = [1, 2, 4];

/// The prediction at one point of a tile.
#[derive(Debug, Clone, Copy, Default)]
struct DepthPoint {
    /// Metres.
    depth: f32,
    /// Sum of the weights of all bins.
    sum: f32,
    /// `ln depth - ln truth`; none without a label.
    error: Option<f64>,
}

/// The first of the two rows (or columns) of patches between which a line of points lies, and the weight of the second.
fn taps(line: usize) -> (usize, f32) {
    let within = (line % UPSAMPLE) as f32 + 0.5;
    (line / UPSAMPLE, within / UPSAMPLE as f32)
}

impl DepthLoss {
    /// The loss of a mini-batch of tiles: `scores` `[tiles, TILE, TILE, bins]` are replaced by their gradient, `truth`
    /// is `[tiles, POINTS, POINTS]` in metres, 0 where there is no label. Without any label loss and gradient are 0.
    pub fn apply(&self, scores: &mut [f32], truth: &[f32]) -> f64 {
        let bins = self.centres.len();
        let tile = TILE * TILE * bins;
        let points: Vec<DepthPoint> = scores
            .par_chunks_exact(tile)
            .zip(truth.par_chunks_exact(POINTS * POINTS))
            .flat_map_iter(|(scores, truth)| self.read(scores, truth))
            .collect();
        let errors = || points.iter().filter_map(|point| point.error);
        let n = errors().count() as f64;
        if n == 0.0 {
            scores.fill(0.0);
            return 0.0;
        }
        let mean = errors().sum::<f64>() / n;
        let square = errors().map(|e| e * e).sum::<f64>() / n;
        let scale_invariant = (square - self.lambda * mean * mean).max(1e-12).sqrt();
        let absolute = points
            .iter()
            .zip(truth)
            .filter(|(point, _)| point.error.is_some())
            .map(|(point, truth)| f64::from((point.depth - truth).abs()))
            .sum::<f64>()
            / n;
        let (steps, mut of_error) = self.gradient_loss(&points);
        for (of_error, point) in of_error.iter_mut().zip(&points) {
            if let Some(error) = point.error {
                *of_error += (error - self.lambda * mean) / (n * scale_invariant);
            }
        }
        let entropies: Vec<f64> = scores
            .par_chunks_exact_mut(tile)
            .enumerate()
            .map(|(index, scores)| {
                let own = index * POINTS * POINTS..(index + 1) * POINTS * POINTS;
                self.backpropagate(
                    scores,
                    &points[own.clone()],
                    &truth[own.clone()],
                    &of_error[own],
                    n,
                )
            })
            .collect();
        let entropy = entropies.iter().sum::<f64>() / n;
        scale_invariant + self.gradient * steps + self.absolute * absolute + self.bins * entropy
    }

    /// Calls `visit` with the place of every point of a tile and its bilinearly interpolated scores `[bins]`.
    fn each_point(&self, scores: &[f32], mut visit: impl FnMut(usize, &[f32])) {
        let bins = self.centres.len();
        let mut line = vec![0f32; TILE * bins];
        let mut mixed = vec![0f32; bins];
        for y in 0..POINTS {
            let (row, weight) = taps(y);
            let at = |row: usize| &scores[row * TILE * bins..][..TILE * bins];
            mix_rows(&mut line, at(row), at(row + 1), weight);
            for x in 0..POINTS {
                let (col, weight) = taps(x);
                let (low, high) = (
                    &line[col * bins..][..bins],
                    &line[(col + 1) * bins..][..bins],
                );
                mix_rows(&mut mixed, low, high, weight);
                visit(y * POINTS + x, &mixed);
            }
        }
    }

    /// The predictions at the points of one tile, `[POINTS, POINTS]`.
    fn read(&self, scores: &[f32], truth: &[f32]) -> Vec<DepthPoint> {
        let mut points = vec![DepthPoint::default(); POINTS * POINTS];
        self.each_point(scores, |at, scores| {
            let (mut sum, mut first) = (0f32, 0f32);
            for (&score, &centre) in scores.iter().zip(&self.centres) {
                let p = score.max(0.0) + FLOOR;
                sum += p;
                first += p * centre;
            }
            let depth = first / sum;
            let error =
                (truth[at] > 0.0).then(|| f64::from(depth.ln()) - f64::from(truth[at].ln()));
            points[at] = DepthPoint { depth, sum, error };
        });
        points
    }

    /// The gradient matching (unweighted), and its gradient by the errors of the points, times its weight.
    fn gradient_loss(&self, points: &[DepthPoint]) -> (f64, Vec<f64>) {
        let mut gradient = vec![0f64; points.len()];
        let mut loss = 0.0;
        if self.gradient == 0.0 {
            return (loss, gradient);
        }
        for stride in STRIDES {
            let places: Vec<usize> = (0..POINTS).step_by(stride).collect();
            let labelled = |at: usize| points[at].error;
            let (mut pairs, mut count) = (Vec::new(), 0usize);
            for tile in (0..points.len()).step_by(POINTS * POINTS) {
                for (i, &y) in places.iter().enumerate() {
                    for (j, &x) in places.iter().enumerate() {
                        let at = tile + y * POINTS + x;
                        let Some(here) = labelled(at) else { continue };
                        count += 1;
                        let below = places.get(i + 2).map(|&y| tile + y * POINTS + x);
                        let right = places.get(j + 2).map(|&x| tile + y * POINTS + x);
                        for other in [below, right].into_iter().flatten() {
                            if let Some(there) = labelled(other) {
                                pairs.push((at, other, here - there));
                            }
                        }
                    }
                }
            }
            let weight = 1.0 / (count.max(1) * STRIDES.len()) as f64;
            for (at, other, difference) in pairs {
                loss += weight * difference.abs();
                // The derivative at 0 is any number from -1 to 1; 0 leaves flat places alone.
                let sign = match difference == 0.0 {
                    true => 0.0,
                    false => difference.signum(),
                };
                gradient[at] += self.gradient * weight * sign;
                gradient[other] -= self.gradient * weight * sign;
            }
        }
        (loss, gradient)
    }

    /// Replaces the scores of a tile by their gradient, and returns the sum of the cross-entropies of its points.
    /// `of_error` is the gradient of SILog and gradient matching by each point's error, `n` the labelled points of the
    /// mini-batch.
    fn backpropagate(
        &self,
        scores: &mut [f32],
        points: &[DepthPoint],
        truth: &[f32],
        of_error: &[f64],
        n: f64,
    ) -> f64 {
        let bins = self.centres.len();
        let logs: Vec<f32> = self.centres.iter().map(|c| c.ln()).collect();
        let mut gradient = vec![0f32; scores.len()];
        let mut own = vec![0f32; bins];
        let mut entropy = 0f64;
        self.each_point(scores, |at, scores| {
            let DepthPoint { depth, sum, error } = points[at];
            if error.is_none() {
                return;
            }
            let sign = f64::from((depth - truth[at]).signum());
            let of_depth = of_error[at] / f64::from(depth) + self.absolute * sign / n;
            let of_depth = (of_depth / f64::from(sum)) as f32;
            for ((own, &score), &centre) in own.iter_mut().zip(scores).zip(&self.centres) {
                *own = match score > 0.0 {
                    true => of_depth * (centre - depth),
                    false => 0.0,
                };
            }
            if self.bins > 0.0 {
                let weight = (self.bins / n) as f32;
                entropy += self.bin_entropy(&mut own, scores, &logs, truth[at], sum, weight);
            }
            let ((row, down), (col, right)) = (taps(at / POINTS), taps(at % POINTS));
            for (row, weight) in [(row, 1.0 - down), (row + 1, down)] {
                for (col, weight) in [(col, weight * (1.0 - right)), (col + 1, weight * right)] {
                    let out = &mut gradient[(row * TILE + col) * bins..][..bins];
                    for (out, own) in out.iter_mut().zip(&own) {
                        *out += weight * own;
                    }
                }
            }
        });
        scores.copy_from_slice(&gradient);
        entropy
    }

    /// Adds the gradient of one point's cross-entropy, times `weight`, to `own` `[bins]`, and returns the
    /// cross-entropy.
    fn bin_entropy(
        &self,
        own: &mut [f32],
        scores: &[f32],
        logs: &[f32],
        truth: f32,
        sum: f32,
        weight: f32,
    ) -> f64 {
        let target = truth.ln();
        let wanted: Vec<f32> = logs
            .iter()
            .map(|log| (-(log - target).powi(2) / (2.0 * BIN_SIGMA * BIN_SIGMA)).exp())
            .collect();
        let total: f32 = wanted.iter().sum::<f32>().max(1e-20);
        let mut entropy = 0f64;
        for ((own, &score), wanted) in own.iter_mut().zip(scores).zip(wanted) {
            let (p, wanted) = (score.max(0.0) + FLOOR, wanted / total);
            entropy -= f64::from(wanted * (p / sum).ln());
            if score > 0.0 {
                *own += weight * (1.0 / sum - wanted / p);
            }
        }
        entropy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::head::Scores;
    use crate::model::input::PatchGrid;
    use crate::vision::postprocess::depth::{BinSpread, decode_bins};

    const BINS: usize = 4;

    fn loss(gradient: f64, bins: f64) -> DepthLoss {
        DepthLoss {
            centres: vec![0.5, 1.0, 2.0, 4.0],
            lambda: 0.85,
            gradient,
            absolute: 0.12,
            bins,
        }
    }

    fn scores(tiles: usize, seed: u64) -> Vec<f32> {
        let mut rng = fastrand::Rng::with_seed(seed);
        (0..tiles * TILE * TILE * BINS)
            .map(|_| rng.f32() * 2.0 - 0.3)
            .collect()
    }

    #[test]
    fn points_are_where_the_head_reads_out() {
        let values = scores(1, 1);
        let grid = PatchGrid {
            rows: TILE,
            cols: TILE,
        };
        let map = decode_bins(
            &Scores {
                values: values.clone(),
                k: BINS,
                grid,
            },
            &loss(0.0, 0.0).centres,
            UPSAMPLE,
            BinSpread::Omitted,
        );
        let points = loss(0.0, 0.0).read(&values, &[1.0; POINTS * POINTS]);
        let first = UPSAMPLE / 2;
        for (at, point) in points.iter().enumerate() {
            let (y, x) = (first + at / POINTS, first + at % POINTS);
            let expected = map.depth[y * map.width + x];
            assert!((point.depth - expected).abs() < 1e-5, "{at}");
        }
    }

    #[test]
    fn a_perfect_batch_but_for_one_scale_costs_little() {
        // One bin takes nearly everything, so the depth is nearly 2 everywhere.
        let mut scores = [0.0, 0.0, 1e6, 0.0].repeat(TILE * TILE);
        let only_log = DepthLoss {
            absolute: 0.0,
            ..loss(0.5, 0.0)
        };
        let value = only_log.apply(&mut scores, &[4.0; POINTS * POINTS]);
        // e = -log 2 everywhere: sqrt(0.15) log 2, and no step anywhere.
        assert!((value - 0.15f64.sqrt() * 2f64.ln()).abs() < 1e-4);
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let start = scores(2, 5);
        let mut rng = fastrand::Rng::with_seed(8);
        // A third has no label.
        let truth: Vec<f32> = (0..2 * POINTS * POINTS)
            .map(|at| {
                if at % 3 == 0 {
                    0.0
                } else {
                    0.6 + 3.0 * rng.f32()
                }
            })
            .collect();
        for (gradient, bins) in [(0.0, 0.0), (0.5, 0.0), (0.5, 0.3)] {
            let of = |scores: &[f32]| {
                let mut copy = scores.to_vec();
                (loss(gradient, bins).apply(&mut copy, &truth), copy)
            };
            let (_, found) = of(&start);
            let largest = found.iter().fold(0f32, |a, b| a.max(b.abs()));
            for at in (0..start.len()).step_by(7) {
                let (mut above, mut below) = (start.clone(), start.clone());
                above[at] += 3e-3;
                below[at] -= 3e-3;
                let expected = (of(&above).0 - of(&below).0) / 6e-3;
                let error = (f64::from(found[at]) - expected).abs();
                // Kinks of relu and of absolute values lie within some steps.
                assert!(
                    error < 0.06 * f64::from(largest),
                    "{at}: {} and {expected}",
                    found[at]
                );
            }
        }
    }

    #[test]
    fn no_label_is_no_loss() {
        let mut scores = scores(1, 2);
        let value = loss(0.5, 0.1).apply(&mut scores, &[0.0; POINTS * POINTS]);
        assert!(value == 0.0 && scores.iter().all(|&g| g == 0.0));
    }
}
