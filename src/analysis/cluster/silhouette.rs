//! How well a clustering separates its points (Rousseeuw, 1987): per point `(b - a) / max(a, b)`, where `a` is its
//! mean distance from the others of its cluster and `b` that from the nearest other cluster; 0 for a point alone.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// Euclidean distances between all pairs of some points, `[n, n]`, to score many clusterings of them.
#[derive(Debug, Clone)]
pub struct PairwiseDistances(Array2<f32>);

impl PairwiseDistances {
    /// Between the rows of `points`.
    pub fn between(points: ArrayView2<'_, f32>) -> Self {
        let mut products = points.dot(&points.t());
        let squares = products.diag().to_owned();
        for ((i, j), value) in products.indexed_iter_mut() {
            *value = (squares[i] + squares[j] - 2.0 * *value).max(0.0).sqrt();
        }
        Self(products)
    }

    /// The mean silhouette of the points with these `labels`, from -1 to 1; 0 if all have the same.
    pub fn silhouette(&self, labels: &[usize]) -> f64 {
        let k = labels.iter().max().map_or(0, |last| last + 1);
        let mut sizes = vec![0usize; k];
        labels.iter().for_each(|&label| sizes[label] += 1);
        // Collected before they are added, so that the sum doesn't depend on the number of threads.
        let scores: Vec<f64> = (0..labels.len())
            .into_par_iter()
            .map(|i| {
                let mut sums = vec![0f64; k];
                for (&distance, &label) in self.0.row(i).iter().zip(labels) {
                    sums[label] += f64::from(distance);
                }
                point_silhouette(&sums, &sizes, labels[i])
            })
            .collect();
        scores.iter().sum::<f64>() / labels.len().max(1) as f64
    }
}

/// The silhouette of one point of cluster `own`, from its summed distances to all points of every cluster.
fn point_silhouette(sums: &[f64], sizes: &[usize], own: usize) -> f64 {
    if sizes[own] < 2 {
        return 0.0;
    }
    let inner = sums[own] / (sizes[own] - 1) as f64;
    let outer = (0..sizes.len())
        .filter(|&other| other != own && sizes[other] > 0)
        .map(|other| sums[other] / sizes[other] as f64)
        .fold(f64::INFINITY, f64::min);
    match outer.is_finite() && inner.max(outer) > 0.0 {
        true => (outer - inner) / inner.max(outer),
        false => 0.0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_scikit_learns() {
        // sklearn.metrics.silhouette_score([[0, 0], [1, 0], [0, 2], [5, 5], [6, 5], [9, 1]], labels)
        let points =
            Array2::from_shape_vec((6, 2), vec![0., 0., 1., 0., 0., 2., 5., 5., 6., 5., 9., 1.])
                .unwrap();
        let distances = PairwiseDistances::between(points.view());
        for (labels, expected) in [
            ([0, 0, 0, 1, 1, 1], 0.6245852050),
            ([0, 0, 0, 1, 1, 2], 0.6406055295),
        ] {
            let found = distances.silhouette(&labels);
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
        }
        assert_eq!(distances.silhouette(&[0; 6]), 0.0);
    }
}
