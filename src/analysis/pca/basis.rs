//! Principal components: the eigenvectors of the covariance matrix of tokens, with a fixed convention for their signs.
//!
//! Small matrices are decomposed as a whole by the QR iteration; of larger ones, LOBPCG (Knyazev, 2001) finds the
//! leading eigenvectors alone.

use linfa_linalg::Order;
use linfa_linalg::lobpcg::{Lobpcg, lobpcg};
use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::analysis::pca::moments::Moments;
use crate::error::{Error, Result};

/// The least width of a matrix for LOBPCG; at a width of 384 it takes a sixth of the time of the whole decomposition.
const LOBPCG_MIN_DIM: usize = 128;
/// Most iterations of LOBPCG; forty are usual.
const MAX_LOBPCG_STEPS: usize = 150;
/// The greatest residual of an eigenvector that is accepted, as a share of the greatest eigenvalue.
const MAX_RESIDUAL: f64 = 1e-10;
/// Most steps of the QR iteration, which needs two or three per eigenvalue where it converges.
const MAX_QR_STEPS: usize = 100_000;

/// The leading principal components of a set of tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Basis {
    /// The mean token, `[D]`.
    pub mean: Vec<f64>,
    /// `[k, D]`, one row of length 1 per component, by falling variance; each row's entry of largest magnitude is
    /// positive.
    pub components: Vec<f64>,
    /// The variance along each component (divided by n - 1), `[k]`.
    pub variances: Vec<f64>,
    /// The sum of the variances along all D directions.
    pub total_variance: f64,
}

impl Basis {
    /// The `k` leading components of `moments`, at most D.
    ///
    /// # Errors
    /// [`Error::Model`] if the covariance is not finite, so that it has no eigendecomposition.
    pub fn fit(moments: &Moments, k: usize) -> Result<Self> {
        let dim = moments.mean().len();
        let k = k.min(dim);
        let covariance = moments.covariance();
        let pairs = match leading_eigenpairs(&covariance, k) {
            Some(pairs) => pairs,
            None => all_eigenpairs(&covariance)?,
        };
        let mut basis = Self {
            mean: moments.mean().to_vec(),
            components: Vec::with_capacity(k * dim),
            variances: Vec::with_capacity(k),
            total_variance: covariance.trace(),
        };
        for (value, vector) in pairs.into_iter().take(k) {
            let largest = vector
                .iter()
                .copied()
                .fold(0.0, |a: f64, v| if v.abs() > a.abs() { v } else { a });
            let sign = if largest < 0.0 { -1.0 } else { 1.0 };
            basis.components.extend(vector.iter().map(|v| v * sign));
            basis.variances.push(value.max(0.0));
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

    /// Per component, its share of the total variance, 0 to 1 (0 where there is none).
    pub fn explained_variance_ratio(&self) -> Vec<f64> {
        let total = if self.total_variance > 0.0 {
            self.total_variance
        } else {
            1.0
        };
        self.variances.iter().map(|v| v / total).collect()
    }

    /// Projects `tokens` `[N, D]`, less the mean, on the components `which`: `[N, which.len()]`, divided by the
    /// standard deviation along each if `whiten`.
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
        let mut scores = vec![0f32; tokens.len() / dim * which.len()];
        let of_rows = scores.par_chunks_mut((PROJECTION_CHUNK * which.len()).max(1));
        of_rows
            .zip(tokens.par_chunks(PROJECTION_CHUNK * dim))
            .for_each(|(scores, tokens)| {
                let mut row = vec![0f64; dim];
                let scores = scores.chunks_exact_mut(which.len().max(1));
                for (scores, token) in scores.zip(tokens.chunks_exact(dim)) {
                    for (r, &v) in row.iter_mut().zip(token) {
                        *r = f64::from(v);
                    }
                    for (score, (axis, offset, scale)) in scores.iter_mut().zip(&axes) {
                        *score = ((dot(axis, &row) - offset) * scale) as f32;
                    }
                }
            });
        scores
    }
}

/// Tokens that one thread projects at a time.
const PROJECTION_CHUNK: usize = 256;

/// An eigenvalue and its eigenvector of length 1.
type EigenPair = (f64, Vec<f64>);

/// All eigenpairs by falling eigenvalue.
fn all_eigenpairs(matrix: &DMatrix<f64>) -> Result<Vec<EigenPair>> {
    let eigen = SymmetricEigen::try_new(matrix.clone(), f64::EPSILON, MAX_QR_STEPS).ok_or_else(|| {
        Error::Model("the covariance of the patch features has no eigendecomposition; are they all finite?".into())
    })?;
    let columns = eigen.eigenvectors.column_iter();
    let mut pairs: Vec<EigenPair> = columns
        .zip(eigen.eigenvalues.iter())
        .map(|(column, &value)| (value, column.iter().copied().collect()))
        .collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    Ok(pairs)
}

/// The `k` leading eigenpairs by falling eigenvalue, by LOBPCG; `None` for small matrices, and where it does not
/// converge.
fn leading_eigenpairs(matrix: &DMatrix<f64>, k: usize) -> Option<Vec<EigenPair>> {
    let dim = matrix.nrows();
    // A few more vectors than wanted make it converge in fewer steps.
    let block_size = k + 3;
    let scale = matrix.amax();
    if dim < LOBPCG_MIN_DIM.max(8 * block_size) || scale <= 0.0 || !scale.is_finite() {
        return None;
    }
    // Symmetric, so rows are columns.
    let view = ArrayView2::from_shape((dim, dim), matrix.as_slice()).ok()?;
    let mut random = fastrand::Rng::with_seed(0);
    let start = Array2::from_shape_fn((dim, block_size), |_| random.f64() - 0.5);
    let times = |x: ArrayView2<'_, f64>| view.dot(&x) / scale;
    let tolerance = MAX_RESIDUAL as f32 * 0.1;
    let result = lobpcg(
        times,
        start,
        |_| (),
        None,
        tolerance,
        MAX_LOBPCG_STEPS,
        Order::Largest,
    );
    // On an error it returns its last approximation, which may be good enough.
    let Lobpcg {
        eigvals, eigvecs, ..
    } = match result {
        Ok(converged) => converged,
        Err((_, stopped)) => stopped?,
    };
    let mut order: Vec<usize> = (0..eigvals.len()).collect();
    order.sort_by(|&a, &b| eigvals[b].total_cmp(&eigvals[a]));
    let greatest = eigvals[*order.first()?];
    let mut pairs = Vec::with_capacity(k);
    for &index in order.iter().take(k) {
        let vector = eigvecs.column(index);
        let residual = times(vector.insert_axis(ndarray::Axis(1)))
            .column(0)
            .to_owned()
            - &(&vector * eigvals[index]);
        let residual = residual.dot(&residual).sqrt();
        let length = vector.dot(&vector).sqrt();
        if residual.is_nan() || residual > MAX_RESIDUAL * greatest || (length - 1.0).abs() > 1e-10 {
            return None;
        }
        pairs.push((eigvals[index] * scale, vector.to_vec()));
    }
    (pairs.len() == k).then_some(pairs)
}

/// The dot product, in f64.
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Tokens whose variances fall slowly, as those of a photo do.
    fn moments(dim: usize, rows: usize, rank: usize) -> Moments {
        let mut random = fastrand::Rng::with_seed(3);
        let axes: Vec<f32> = (0..rank * dim).map(|_| random.f32() - 0.5).collect();
        let mut tokens = vec![0f32; rows * dim];
        for token in tokens.chunks_exact_mut(dim) {
            for (index, axis) in axes.chunks_exact(dim).enumerate() {
                let weight = (random.f32() - 0.5) * 0.97f32.powi(index as i32);
                token
                    .iter_mut()
                    .zip(axis)
                    .for_each(|(t, a)| *t += weight * a);
            }
        }
        let mut moments = Moments::new(dim);
        moments.add(&tokens);
        moments
    }

    #[test]
    fn the_leading_components_are_those_of_the_whole_decomposition() {
        let covariance = moments(256, 1500, 200).covariance();
        let whole = all_eigenpairs(&covariance).unwrap();
        let found = leading_eigenpairs(&covariance, 4).unwrap();
        for (one, other) in found.iter().zip(&whole) {
            assert!((one.0 - other.0).abs() < 1e-9 * whole[0].0);
            let cosine = dot(&one.1, &other.1).abs();
            assert!((cosine - 1.0).abs() < 1e-12, "{cosine}");
        }
    }

    #[test]
    fn what_has_less_than_was_asked_for_is_still_decomposed() {
        for (rows, rank) in [(1, 3), (2, 3), (40, 1), (300, 2)] {
            let basis = Basis::fit(&moments(200, rows, rank), 3).unwrap();
            assert_eq!(basis.components.len(), 600);
            assert!(basis.components.iter().all(|v| v.is_finite()));
            let known = basis
                .variances
                .iter()
                .filter(|&&v| v > 1e-6 * basis.variances[0]);
            assert!(known.count() <= rank.min(rows), "{rows} {rank}");
        }
    }
}
