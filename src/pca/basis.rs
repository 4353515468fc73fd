//! Principal components: the eigenvectors of a covariance matrix, with signs that do not depend on chance.

use nalgebra::SymmetricEigen;

use crate::error::{Error, Result};
use crate::pca::moments::Moments;

/// The QR iteration needs two or three steps an eigenvalue; this many mean that it does not converge.
const MAX_ITERATIONS: usize = 100_000;

/// The leading principal components of a set of tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Basis {
    /// `[D]`.
    pub mean: Vec<f64>,
    /// `[k, D]`, one unit row a component, by falling variance; each row's entry of largest magnitude is positive.
    pub components: Vec<f64>,
    /// `[k]`, variance along each component (divided by n - 1).
    pub variances: Vec<f64>,
    /// Variance over all D directions.
    pub total_variance: f64,
}

impl Basis {
    /// The `k` leading components of `moments` (at most D).
    pub fn fit(moments: &Moments, k: usize) -> Result<Self> {
        let dim = moments.mean().len();
        let k = k.min(dim);
        let eigen = SymmetricEigen::try_new(moments.covariance(), f64::EPSILON, MAX_ITERATIONS).ok_or_else(|| {
            Error::Model("the covariance of the patch features has no eigendecomposition; are they all finite?".into())
        })?;
        let values = &eigen.eigenvalues;
        let mut order: Vec<usize> = (0..dim).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let mut basis = Self {
            mean: moments.mean().to_vec(),
            components: Vec::with_capacity(k * dim),
            variances: Vec::with_capacity(k),
            total_variance: values.iter().map(|v| v.max(0.0)).sum(),
        };
        for &column in &order[..k] {
            let vector: Vec<f64> = eigen.eigenvectors.column(column).iter().copied().collect();
            let largest = vector
                .iter()
                .copied()
                .fold(0.0, |a: f64, v| if v.abs() > a.abs() { v } else { a });
            let sign = if largest < 0.0 { -1.0 } else { 1.0 };
            basis.components.extend(vector.iter().map(|v| v * sign));
            basis.variances.push(values[column].max(0.0));
        }
        Ok(basis)
    }

    /// Width of a token (D).
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Component `index`, `[D]`.
    pub fn component(&self, index: usize) -> &[f64] {
        &self.components[index * self.dim()..][..self.dim()]
    }

    /// Per component, its share of all variance (0 where there is none).
    pub fn explained_variance_ratio(&self) -> Vec<f64> {
        let total = if self.total_variance > 0.0 {
            self.total_variance
        } else {
            1.0
        };
        self.variances.iter().map(|v| v / total).collect()
    }

    /// Projects `tokens` `[N, D]` on the components `which`: `[N, which.len()]`, divided by the standard
    /// deviation along each if `whiten`.
    pub fn project(&self, tokens: &[f32], which: &[usize], whiten: bool) -> Vec<f32> {
        let dim = self.dim();
        let axes: Vec<(&[f64], f64, f64)> = which
            .iter()
            .map(|&index| {
                let axis = self.component(index);
                let deviation = self.variances[index].sqrt();
                let scale = if whiten && deviation > 0.0 {
                    1.0 / deviation
                } else {
                    1.0
                };
                (axis, dot(axis, &self.mean), scale)
            })
            .collect();
        let mut row = vec![0f64; dim];
        let mut scores = Vec::with_capacity(tokens.len() / dim * which.len());
        for token in tokens.chunks_exact(dim) {
            for (r, &v) in row.iter_mut().zip(token) {
                *r = f64::from(v);
            }
            scores.extend(
                axes.iter()
                    .map(|(axis, offset, scale)| ((dot(axis, &row) - offset) * scale) as f32),
            );
        }
        scores
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Four sums side by side, so that the additions do not wait for each other.
    let (mut sums, split) = ([0f64; 4], a.len() / 4 * 4);
    for (x, y) in a[..split].chunks_exact(4).zip(b[..split].chunks_exact(4)) {
        for lane in 0..4 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = a[split..].iter().zip(&b[split..]).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}
