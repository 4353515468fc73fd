//! The depth head's loss on the grid that the head is read out on, four times as fine as the patches: the scores of a
//! tile of patches are interpolated first, as in use, so that training and prediction are one function.
//!
//! Scale-invariant logarithmic error (Eigen et al., 2014; `SigLoss` in the DINOv2 code):
//! `sqrt(mean(e^2) - 0.85 mean(e)^2)` with `e = log prediction - log truth`; the gradient loss of the same code over
//! `e` at several strides; an absolute error in metres and a cross-entropy over the bins on request.

use rayon::prelude::*;

use crate::learn::train::targets::{POINTS, TILE, UPSAMPLE};
use crate::maths::resample::mix_rows;

/// Weights of the parts of the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthLoss {
    /// Bin centres in metres.
    pub centres: Vec<f32>,
    /// How much of the mean logarithmic error is forgiven: 0.85 in the paper.
    pub lambda: f64,
    /// Weight of the gradient loss: 0.5 in the paper.
    pub gradient: f64,
    /// Weight of the mean absolute error in metres.
    pub absolute: f64,
    /// Weight of the cross-entropy with a Gaussian over the logarithms of the bins.
    pub bins: f64,
}

/// Added to every bin, as the head does when it is used.
const FLOOR: f32 = 0.1;
/// Standard deviation of the Gaussian, in log depth.
const BIN_SIGMA: f32 = 0.1;
/// The gradient loss looks at every point, every second one, and so on.
const STRIDES: [usize; 3] = [1, 2, 4];

/// What one point reads.
#[derive(Debug, Clone, Copy, Default)]
struct DepthPoint {
    depth: f32,
    /// Of all bins' weights.
    sum: f32,
    /// Of log depth; none without a label.
    error: Option<f64>,
}

/// The two patches between which a line of points lies, and the weight of the second.
fn taps(line: usize) -> (usize, f32) {
    let within = (line % UPSAMPLE) as f32 + 0.5;
    (line / UPSAMPLE, within / UPSAMPLE as f32)
}

impl DepthLoss {
    /// The loss of a batch of tiles: `scores` are `[tiles, TILE, TILE, bins]` and become their own gradient, `truth` is
    /// `[tiles, POINTS, POINTS]` in metres, 0 where there is no label. A batch without any label costs nothing.
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

    /// Calls `visit` with every point's place and its interpolated scores.
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

    /// Reads the points of one tile.
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

    /// The gradient loss, and its own gradient by the points' errors (weighted).
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
                // At no difference either sign is one; none keeps flat places still.
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

    /// Replaces the scores of a tile by their gradient, and returns the sum of its points' cross-entropies.
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

    /// Adds the cross-entropy's gradient of one point to `own`, and returns it.
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
    use crate::model::input::Grid;
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
        let grid = Grid {
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
