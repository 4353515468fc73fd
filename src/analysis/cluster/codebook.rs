//! A [`Codebook`] of cluster centres, and the [`Scores`] of a photo's tokens with it, as a head would give them.

use rayon::prelude::*;

use crate::model::head::Scores;
use crate::model::input::PatchGrid;

/// The centres of clusters in the space of L2-normalised tokens, the largest cluster first.
#[derive(Debug, Clone, PartialEq)]
pub struct Codebook {
    /// The centres, `[k, D]`, row-major; means of vectors of length 1.
    pub centres: Vec<f32>,
    /// Number of clusters, 1 to [`MAX_CLUSTERS`].
    pub k: usize,
    /// Mean variance of the fitted patches around their centres along one direction in the space that the centres
    /// span; above 0.
    pub variance: f32,
}

/// The largest number of clusters; ids of classes are 16 bits wide.
pub const MAX_CLUSTERS: usize = 1024;

/// The least [`Codebook::variance`], so that scores stay finite where all patches lie on their centres.
pub(super) const MIN_VARIANCE: f32 = 1e-6;

impl Codebook {
    /// Width of a token (D).
    pub fn dim(&self) -> usize {
        self.centres.len() / self.k
    }

    /// The scores of the tokens `[rows * cols, D]` of one photo: `-d^2 / (2 variance)` for the distance `d` to each
    /// centre. A softmax over them gives the posterior probabilities of a mixture of equally frequent Gaussians around
    /// the centres. Only directions in which the centres differ distinguish them, so only the variance there counts.
    ///
    /// The part of a distance that all clusters share is left out, so scores are linear in a normalised token:
    /// sampling scores between patches equals scoring the features interpolated there.
    ///
    /// # Panics
    /// If `tokens` does not have `rows * cols * D` numbers.
    pub fn scores(&self, tokens: &[f32], grid: PatchGrid) -> Scores {
        let (dim, k) = (self.dim(), self.k);
        assert_eq!(tokens.len(), grid.len() * dim, "tokens are rows * cols x D");
        let scale = 0.5 / self.variance;
        let offsets: Vec<f32> = self
            .centres
            .chunks_exact(dim)
            .map(|centre| dot(centre, centre))
            .collect();
        let mut values = vec![0f32; grid.len() * k];
        values
            .par_chunks_exact_mut(k)
            .zip(tokens.par_chunks_exact(dim))
            .for_each(|(scores, token)| {
                let length = l2_norm(token);
                let centres = self.centres.chunks_exact(dim).zip(&offsets);
                for (score, (centre, offset)) in scores.iter_mut().zip(centres) {
                    *score = scale * (2.0 * dot(token, centre) / length - offset);
                }
            });
        Scores { values, k, grid }
    }
}

/// The dot product, summed in order in f32.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The L2 norm of a token, at least the smallest positive f32, so that it can be divided by.
pub(super) fn l2_norm(token: &[f32]) -> f32 {
    dot(token, token).sqrt().max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_centre_scores_best_whatever_a_tokens_length() {
        let codebook = Codebook {
            centres: vec![0.9, 0.0, 0.0, 0.8],
            k: 2,
            variance: 0.25,
        };
        let grid = PatchGrid { rows: 1, cols: 3 };
        let scores = codebook.scores(&[30.0, 1.0, 0.1, 0.2, 0.0, 0.0], grid);
        assert!(scores.values[0] > scores.values[1]);
        assert!(scores.values[3] > scores.values[2]);
        // Differences of scores are differences of squared distances: -0.8^2 + 0.9^2 for the empty token.
        let difference = (scores.values[5] - scores.values[4]) * 2.0 * 0.25;
        assert!((difference - (0.81 - 0.64)).abs() < 1e-6, "{difference}");
    }
}
