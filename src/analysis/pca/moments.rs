//! Mean and covariance of patch tokens, accumulated in f64 one image at a time.
//!
//! Each chunk of tokens is centred on its own mean before its outer products are summed, and merged by the update of
//! Chan, Golub and LeVeque (1979), so sums over ten thousand photos lose no precision and need no more memory than one
//! photo.

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::maths::matrix::{Matrix, matmul};

/// Rows that are converted to f64 at a time.
const CHUNK: usize = 2048;

/// Columns whose means one thread computes at a time.
const COLUMNS: usize = 64;

/// Count, mean and scatter matrix of a set of token rows.
#[derive(Debug, Clone)]
pub struct Moments {
    count: u64,
    mean: Vec<f64>,
    scatter: DMatrix<f64>,
}

impl Moments {
    /// The moments of no rows, of width `dim`.
    pub fn new(dim: usize) -> Self {
        Self {
            count: 0,
            mean: vec![0.0; dim],
            scatter: DMatrix::zeros(dim, dim),
        }
    }

    /// Number of rows added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean row, `[D]`; zeros without rows.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The covariance matrix `[D, D]`, divided by n - 1 (zero for fewer than two rows).
    pub fn covariance(&self) -> DMatrix<f64> {
        let scale = if self.count > 1 {
            1.0 / (self.count - 1) as f64
        } else {
            0.0
        };
        &self.scatter * scale
    }

    /// Adds `tokens` `[N, D]`, row-major.
    pub fn add(&mut self, tokens: &[f32]) {
        for rows in tokens.chunks(CHUNK * self.mean.len()) {
            self.add_chunk(rows);
        }
    }

    /// Adds at most [`CHUNK`] rows.
    fn add_chunk(&mut self, tokens: &[f32]) {
        let dim = self.mean.len();
        let n = tokens.len() / dim;
        if n == 0 {
            return;
        }
        let mean = mean_of(tokens, n, dim);
        let mut centred = vec![0f64; n * dim];
        let rows = centred.par_chunks_exact_mut(dim).with_min_len(64);
        rows.zip(tokens.par_chunks_exact(dim))
            .for_each(|(row, tokens)| {
                for ((value, &token), mean) in row.iter_mut().zip(tokens).zip(&mean) {
                    *value = f64::from(token) - mean;
                }
            });
        let rows = Matrix::new(&centred, n, dim);
        // The product is symmetric, so it may be written into nalgebra's column-major matrix unchanged.
        matmul(self.scatter.as_mut_slice(), rows.t(), rows, true);

        let total = self.count + n as u64;
        let weight = self.count as f64 * n as f64 / total as f64;
        let delta: Vec<f64> = mean
            .iter()
            .zip(&self.mean)
            .map(|(new, old)| new - old)
            .collect();
        if self.count > 0 {
            for j in 0..dim {
                for i in 0..dim {
                    self.scatter[(i, j)] += weight * delta[i] * delta[j];
                }
            }
        }
        for (m, d) in self.mean.iter_mut().zip(&delta) {
            *m += d * n as f64 / total as f64;
        }
        self.count = total;
    }
}

/// Means of the columns of `tokens` `[n, dim]`; each is summed in the order of rows, whatever the number of threads.
fn mean_of(tokens: &[f32], n: usize, dim: usize) -> Vec<f64> {
    let mut mean = vec![0f64; dim];
    let columns = mean.par_chunks_mut(COLUMNS).enumerate();
    columns.for_each(|(index, mean)| {
        for row in tokens.chunks_exact(dim) {
            for (m, &v) in mean.iter_mut().zip(&row[index * COLUMNS..]) {
                *m += f64::from(v);
            }
        }
        mean.iter_mut().for_each(|m| *m /= n as f64);
    });
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, dim: usize) -> Vec<f32> {
        (0..n * dim)
            .map(|i| 100.0 + ((i * 7919) % 1000) as f32 / 100.0)
            .collect()
    }

    #[test]
    fn image_by_image_equals_all_at_once() {
        let data = rows(50, 6);
        let mut whole = Moments::new(6);
        whole.add(&data);
        let mut parts = Moments::new(6);
        for piece in data.chunks(6 * 7) {
            parts.add(piece);
        }
        assert_eq!(whole.count(), parts.count());
        let difference = whole.covariance() - parts.covariance();
        assert!(difference.amax() < 1e-10, "{}", difference.amax());
    }

    #[test]
    fn one_row_has_no_variance() {
        let mut moments = Moments::new(3);
        moments.add(&[1.0, 2.0, 3.0]);
        assert_eq!(moments.covariance().amax(), 0.0);
        assert_eq!(moments.mean(), [1.0, 2.0, 3.0]);
    }
}
