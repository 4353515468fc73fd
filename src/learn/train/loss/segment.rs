//! The loss of segmentation heads: cross-entropy of the softmax with soft targets, the shares of a patch's class ids.
//!
//! For one patch `-(1 - s) sum_id share_id ln(sum_{c in allowed(id)} p_c) - s mean_c ln p_c` with `p = softmax(scores)`
//! and label smoothing `s` (Szegedy et al., 2016); the loss is the mean over patches. Where every id is one class this
//! is the usual cross-entropy. In a joint taxonomy an id may stand for any of several classes: the loss sums their
//! probabilities and leaves it open which of them it is.

use rayon::prelude::*;

/// A soft target: the ids of one patch with their shares (which sum to 1), and by id the classes that it can be.
pub type SoftTarget<'a> = (&'a [(u16, f32)], &'a [Vec<u16>]);

/// Cross-entropy with soft targets and label smoothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentLoss {
    /// Label smoothing, 0..1: this share of every target is spread evenly over all classes.
    pub smoothing: f32,
}

impl SegmentLoss {
    /// The mean loss over the patches; `scores` `[patches, classes]` (logits) are replaced by their gradient.
    pub fn apply<'a>(
        &self,
        scores: &mut [f32],
        classes: usize,
        target: impl Fn(usize) -> SoftTarget<'a> + Sync,
    ) -> f64 {
        let n = scores.len() / classes;
        let losses: Vec<f64> = scores
            .par_chunks_exact_mut(classes)
            .enumerate()
            .map(|(index, row)| self.row(row, target(index), n as f32))
            .collect();
        losses.iter().sum::<f64>() / n as f64
    }

    /// The loss of one patch; its logits `row` become the gradient of the mean over `n` patches.
    fn row(&self, row: &mut [f32], (shares, allowed): SoftTarget<'_>, n: f32) -> f64 {
        softmax(row);
        let classes = row.len() as f32;
        // The target over the classes: an id's share, divided among its classes in proportion to their probabilities.
        let mut wanted = vec![self.smoothing / classes; row.len()];
        let mut loss = 0f64;
        for &(id, share) in shares {
            let share = share * (1.0 - self.smoothing);
            let classes = &allowed[usize::from(id)];
            let sum: f32 = classes.iter().map(|&class| row[usize::from(class)]).sum();
            let sum = sum.max(1e-9);
            loss -= f64::from(share) * f64::from(sum.ln());
            for &class in classes {
                let class = usize::from(class);
                wanted[class] += share * row[class] / sum;
            }
        }
        if self.smoothing > 0.0 {
            let mean: f32 = row.iter().map(|p| p.max(1e-9).ln()).sum::<f32>() / classes;
            loss -= f64::from(self.smoothing * mean);
        }
        for (p, wanted) in row.iter_mut().zip(wanted) {
            *p = (*p - wanted) / n;
        }
        loss
    }
}

fn softmax(row: &mut [f32]) {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0f32;
    for value in row.iter_mut() {
        *value = (*value - top).exp();
        sum += *value;
    }
    row.iter_mut().for_each(|value| *value /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_class_an_id_is_cross_entropy() {
        let allowed: Vec<Vec<u16>> = (0..3).map(|id| vec![id]).collect();
        let shares = [(1u16, 1.0f32)];
        let mut scores = vec![0.0, 2f32.ln(), 0.0];
        let loss = SegmentLoss { smoothing: 0.0 }.apply(&mut scores, 3, |_| (&shares, &allowed));
        assert!((loss - 2f64.ln()).abs() < 1e-6);
        for (g, expected) in scores.iter().zip([0.25, -0.5, 0.25]) {
            assert!((g - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let allowed = vec![vec![0, 3], vec![1], vec![2, 1]];
        let shares = [[(0u16, 0.75f32), (1, 0.25)], [(2, 0.5), (0, 0.5)]];
        let start = [0.3f32, -0.2, 0.9, 0.1, 1.0, 0.0, -1.0, 0.4];
        for smoothing in [0.0, 0.1] {
            let loss = |scores: &[f32]| {
                let mut copy = scores.to_vec();
                let loss =
                    SegmentLoss { smoothing }.apply(&mut copy, 4, |i| (&shares[i], &allowed));
                (loss, copy)
            };
            let (_, gradient) = loss(&start);
            for at in 0..start.len() {
                let (mut above, mut below) = (start, start);
                above[at] += 1e-2;
                below[at] -= 1e-2;
                let expected = (loss(&above).0 - loss(&below).0) / 2e-2;
                assert!(
                    (f64::from(gradient[at]) - expected).abs() < 1e-4,
                    "{at}: {} and {expected}",
                    gradient[at]
                );
            }
        }
    }
}
