//! The depth head's loss: scale-invariant logarithmic error (Eigen et al., 2014, as `SigLoss` in the DINOv2 code:
//! `sqrt(mean(e^2) - 0.85 mean(e)^2)` with `e = log prediction - log truth`), with an absolute error in metres and a
//! cross-entropy over the bins on request.

use rayon::prelude::*;

/// Weights of the parts of the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthLoss {
    /// Bin centres in metres.
    pub centres: Vec<f32>,
    /// How much of the mean logarithmic error is forgiven: 0.85 in the paper.
    pub lambda: f64,
    /// Weight of the mean absolute error in metres.
    pub absolute: f64,
    /// Weight of the cross-entropy with a Gaussian over the logarithms of the bins.
    pub bins: f64,
}

/// Added to every bin, as the head does when it is used.
const FLOOR: f32 = 0.1;
/// Standard deviation of the Gaussian, in log depth.
const SPREAD: f32 = 0.1;

impl DepthLoss {
    /// The loss of a batch with the `truth` in metres; `scores` `[n, bins]` become its gradient.
    pub fn apply(&self, scores: &mut [f32], truth: &[f32]) -> f64 {
        let bins = self.centres.len();
        let n = truth.len() as f64;
        // The expectation and the sum of the bins' weights.
        let read: Vec<(f32, f32)> = scores
            .par_chunks_exact(bins)
            .map(|row| {
                let (mut sum, mut first) = (0f32, 0f32);
                for (&score, &centre) in row.iter().zip(&self.centres) {
                    let p = score.max(0.0) + FLOOR;
                    sum += p;
                    first += p * centre;
                }
                (first / sum, sum)
            })
            .collect();
        let errors: Vec<f64> = read
            .iter()
            .zip(truth)
            .map(|((depth, _), truth)| f64::from(depth.ln()) - f64::from(truth.ln()))
            .collect();
        let mean = errors.iter().sum::<f64>() / n;
        let square = errors.iter().map(|e| e * e).sum::<f64>() / n;
        let scale_invariant = (square - self.lambda * mean * mean).max(1e-12).sqrt();
        let absolute = read
            .iter()
            .zip(truth)
            .map(|((depth, _), truth)| f64::from((depth - truth).abs()))
            .sum::<f64>()
            / n;
        let logs: Vec<f32> = self.centres.iter().map(|c| c.ln()).collect();
        let entropies: Vec<f64> = scores
            .par_chunks_exact_mut(bins)
            .enumerate()
            .map(|(index, row)| {
                let ((depth, sum), truth) = (read[index], truth[index]);
                let of_log = (errors[index] - self.lambda * mean) / (n * scale_invariant);
                let sign = f64::from((depth - truth).signum());
                let of_depth = of_log / f64::from(depth) + self.absolute * sign / n;
                let of_depth = (of_depth / f64::from(sum)) as f32;
                let mut entropy = 0f64;
                if self.bins > 0.0 {
                    entropy = self.bin_entropy(row, &logs, truth, sum, of_depth, depth, n as f32);
                } else {
                    for (score, &centre) in row.iter_mut().zip(&self.centres) {
                        *score = if *score > 0.0 {
                            of_depth * (centre - depth)
                        } else {
                            0.0
                        };
                    }
                }
                entropy
            })
            .collect();
        let entropy = entropies.iter().sum::<f64>() / n;
        scale_invariant + self.absolute * absolute + self.bins * entropy
    }

    /// Writes the whole gradient of one row and returns its cross-entropy.
    #[allow(clippy::too_many_arguments)]
    fn bin_entropy(
        &self,
        row: &mut [f32],
        logs: &[f32],
        truth: f32,
        sum: f32,
        of_depth: f32,
        depth: f32,
        n: f32,
    ) -> f64 {
        let target = truth.ln();
        let wanted: Vec<f32> = logs
            .iter()
            .map(|log| (-(log - target).powi(2) / (2.0 * SPREAD * SPREAD)).exp())
            .collect();
        let total: f32 = wanted.iter().sum::<f32>().max(1e-20);
        let weight = self.bins as f32 / n;
        let mut entropy = 0f64;
        for ((score, &centre), wanted) in row.iter_mut().zip(&self.centres).zip(wanted) {
            let (p, wanted) = (score.max(0.0) + FLOOR, wanted / total);
            entropy -= f64::from(wanted * (p / sum).ln());
            *score = if *score > 0.0 {
                of_depth * (centre - depth) + weight * (1.0 / sum - wanted / p)
            } else {
                0.0
            };
        }
        entropy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(bins: f64) -> DepthLoss {
        DepthLoss {
            centres: vec![0.5, 1.0, 2.0, 4.0],
            lambda: 0.85,
            absolute: 0.12,
            bins,
        }
    }

    #[test]
    fn a_perfect_batch_but_for_one_scale_costs_little() {
        // One bin takes nearly everything, so the depth is nearly its centre.
        let mut scores = vec![0.0, 1e6, 0.0, 0.0, 0.0, 0.0, 1e6, 0.0];
        let only_log = DepthLoss {
            absolute: 0.0,
            ..loss(0.0)
        };
        let value = only_log.apply(&mut scores, &[2.0, 4.0]);
        // e = -log 2 for both: sqrt(0.15) log 2.
        assert!((value - 0.15f64.sqrt() * 2f64.ln()).abs() < 1e-4);
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let start = [
            0.5f32, 1.5, 0.2, 0.7, 1.0, -0.5, 2.0, 0.3, 0.9, 0.4, 0.3, 0.2,
        ];
        let truth = [0.8, 2.5, 1.1];
        for bins in [0.0, 0.3] {
            let of = |scores: &[f32]| {
                let mut copy = scores.to_vec();
                (loss(bins).apply(&mut copy, &truth), copy)
            };
            let (_, gradient) = of(&start);
            for at in 0..start.len() {
                let (mut above, mut below) = (start, start);
                above[at] += 1e-2;
                below[at] -= 1e-2;
                let expected = (of(&above).0 - of(&below).0) / 2e-2;
                assert!(
                    (f64::from(gradient[at]) - expected).abs() < 2e-4,
                    "{at}: {} and {expected}",
                    gradient[at]
                );
            }
        }
    }
}
