//! Mean and covariance of patch tokens, accumulated in f64 one image at a time.
//!
//! Each image is centred on its own mean before its outer products are summed, and merged by Chan, Golub and
//! LeVeque's update, so ten thousand photos lose no digits and need no more memory than one.

use nalgebra::DMatrix;

use crate::matrix::{Matrix, product};

/// Rows that are converted to f64 at a time.
const CHUNK: usize = 2048;

/// Count, mean and scatter matrix of a set of token rows.
#[derive(Debug, Clone)]
pub struct Moments {
    count: u64,
    mean: Vec<f64>,
    scatter: DMatrix<f64>,
}

impl Moments {
    /// No rows yet, of width `dim`.
    pub fn new(dim: usize) -> Self {
        Self {
            count: 0,
            mean: vec![0.0; dim],
            scatter: DMatrix::zeros(dim, dim),
        }
    }

    /// Rows seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean row.
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

    fn add_chunk(&mut self, tokens: &[f32]) {
        let dim = self.mean.len();
        let n = tokens.len() / dim;
        if n == 0 {
            return;
        }
        let mut mean = vec![0f64; dim];
        for row in tokens.chunks_exact(dim) {
            for (m, &v) in mean.iter_mut().zip(row) {
                *m += f64::from(v);
            }
        }
        mean.iter_mut().for_each(|m| *m /= n as f64);
        let centred: Vec<f64> = tokens
            .chunks_exact(dim)
            .flat_map(|row| row.iter().zip(&mean).map(|(&v, m)| f64::from(v) - m))
            .collect();
        let rows = Matrix::new(&centred, n, dim);
        // Symmetric, so it is the same by rows and by columns.
        product(self.scatter.as_mut_slice(), rows.t(), rows, true);

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
