//! Unsupervised parts: k-means over the L2-normalised patch features of many photos.
//!
//! [`fit()`] makes a [`Codebook`] from the tokens in a [`TokenSpool`](crate::analysis::pca::TokenSpool); the codebook turns a
//! photo's tokens into [`Scores`], as a head does, so that everything after it is the same. Normalised features are
//! compared by angle, which is how DINO's training compares them; their length says little about what a patch shows.

pub mod file;
pub mod fit;
pub mod silhouette;

pub use fit::{ClusterCount, ClusterFit, fit};

use rayon::prelude::*;

use crate::model::head::Scores;
use crate::model::input::Grid;

/// The centres of clusters, the largest cluster first.
#[derive(Debug, Clone, PartialEq)]
pub struct Codebook {
    /// `[k, D]`, row-major.
    pub centres: Vec<f32>,
    /// Clusters.
    pub k: usize,
    /// Mean variance of the fitted patches around their centres along one direction in the space that the centres
    /// span; above 0.
    pub variance: f32,
}

/// What [`Codebook::variance`] is where patches lie on their centres, so that scores stay finite.
pub(crate) const MIN_VARIANCE: f32 = 1e-6;

impl Codebook {
    /// Width of a token.
    pub fn dim(&self) -> usize {
        self.centres.len() / self.k
    }

    /// Scores of the tokens `[rows * cols, D]` of one photo: `-d^2 / (2 variance)` for the distance `d` to each
    /// centre. A softmax over them gives the posterior probabilities of a mixture of equally frequent Gaussians around
    /// the centres. Only directions in which the centres differ tell them apart, so only the variance there counts.
    ///
    /// The part of a distance that all clusters share is left out, so scores are linear in a normalised token:
    /// sampling scores between patches equals scoring what lies between their features.
    pub fn scores(&self, tokens: &[f32], grid: Grid) -> Scores {
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
                let length = norm(token);
                let centres = self.centres.chunks_exact(dim).zip(&offsets);
                for (score, (centre, offset)) in scores.iter_mut().zip(centres) {
                    *score = scale * (2.0 * dot(token, centre) / length - offset);
                }
            });
        Scores { values, k, grid }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Length of a token; never zero, so that it can be divided by.
fn norm(token: &[f32]) -> f32 {
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
        let grid = Grid { rows: 1, cols: 3 };
        let scores = codebook.scores(&[30.0, 1.0, 0.1, 0.2, 0.0, 0.0], grid);
        assert!(scores.values[0] > scores.values[1]);
        assert!(scores.values[3] > scores.values[2]);
        // Differences of scores are differences of squared distances: -0.8^2 + 0.9^2 for the empty token.
        let difference = (scores.values[5] - scores.values[4]) * 2.0 * 0.25;
        assert!((difference - (0.81 - 0.64)).abs() < 1e-6, "{difference}");
    }
}
