//! Fits a [`Codebook`] to the tokens of one or many photos, on a sample of their patches.
//!
//! The sample bounds memory and time, however many photos there are. It is clustered in its leading principal
//! components, which span the solution of relaxed k-means (Ding and He, 2004) without the noise of the others.
//! Everything random comes from fixed seeds: the same photos give the same clusters.
//!
//! [`ClusterCount::Auto`] compares mean silhouettes, from three clusters on: two clusters nearly always have the best
//! one, since nothing in these features is as distinct as a photo's subject and its background, but they do not
//! separate the parts of either. Among counts that separate about equally well the largest is taken. BIC does not work
//! here: neighbouring patches are much alike, so that a likelihood that counts each of them favours ever more clusters.

use std::fmt;
use std::str::FromStr;

use linfa::DatasetBase;
use linfa::prelude::{Fit, ParamGuard};
use linfa_clustering::KMeans;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use crate::analysis::cluster::codebook::{Codebook, MAX_CLUSTERS, MIN_VARIANCE, dot, l2_norm};
use crate::analysis::cluster::sample::{sample_patches, subsample_rows};
use crate::analysis::cluster::silhouette::PairwiseDistances;
use crate::analysis::pca::{Basis, Moments, TokenSpool};
use crate::error::{Error, Result};

/// Most patches that the centres are fitted to: 12 MB of ViT-S tokens, and a second or two of work.
const FIT_PATCHES: usize = 8_192;
/// Patches of the sample that the principal components are computed from.
const PCA_PATCHES: usize = 4_096;
/// Principal components that are kept.
const COMPONENTS: usize = 64;
/// Patches whose silhouettes are compared.
const SILHOUETTE_PATCHES: usize = 2_048;
/// The numbers of clusters that [`ClusterCount::Auto`] tries.
const AUTO_COUNTS: std::ops::RangeInclusive<usize> = 3..=12;
/// A silhouette of at least this share of the best one counts as about equally good.
const SILHOUETTE_SHARE: f64 = 0.95;
/// Runs of k-means from different starts; the one with the least inertia is kept.
const RESTARTS: usize = 4;
/// Most iterations of a run of k-means.
const MAX_ITERATIONS: u64 = 100;

/// How many clusters to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterCount {
    /// This number, 2 to [`MAX_CLUSTERS`].
    Exactly(usize),
    /// The largest number from 3 to 12 that separates the patches about as well as the best one, by mean silhouette.
    Auto,
}

impl FromStr for ClusterCount {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.parse::<usize>() {
            _ if text == "auto" => Ok(ClusterCount::Auto),
            Ok(k) if (2..=MAX_CLUSTERS).contains(&k) => Ok(ClusterCount::Exactly(k)),
            _ => Err(format!(
                "expected auto, or a number from 2 to {MAX_CLUSTERS}"
            )),
        }
    }
}

/// In the syntax that [`ClusterCount::from_str`] parses.
impl fmt::Display for ClusterCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterCount::Auto => f.write_str("auto"),
            ClusterCount::Exactly(k) => write!(f, "{k}"),
        }
    }
}

/// The result of [`fit()`].
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterFit {
    /// The fitted centres.
    pub codebook: Codebook,
    /// For [`ClusterCount::Auto`], each number of clusters that was tried, with its mean silhouette (-1 to 1); else
    /// empty.
    pub silhouettes: Vec<(usize, f64)>,
}

/// Fits clusters to all tokens in `spool`. With [`ClusterCount::Auto`], `tick(tried, all)` is called after each number
/// of clusters that was tried.
///
/// # Errors
/// [`Error::Usage`] if there are fewer patches than clusters; if the spool cannot be read; those of `tick`.
pub fn fit(
    spool: &mut TokenSpool,
    count: ClusterCount,
    tick: &dyn Fn(usize, usize) -> Result<()>,
) -> Result<ClusterFit> {
    let sample = sample_patches(spool, FIT_PATCHES)?;
    let patches = sample.nrows();
    let most = match count {
        ClusterCount::Exactly(k) => k,
        ClusterCount::Auto => *AUTO_COUNTS.start(),
    };
    if patches < most {
        return Err(Error::Usage(format!(
            "--clusters: there are only {patches} patches to put into {most} clusters; give a larger --size, or fewer clusters"
        )));
    }
    let space = PrincipalSpace::fit(sample.view())?;
    let points = space.project(sample.view());
    let (clusters, silhouettes) = match count {
        ClusterCount::Exactly(k) => (k_means(points.view(), k)?, Vec::new()),
        ClusterCount::Auto => fit_best_count(points.view(), tick)?,
    };
    Ok(ClusterFit {
        codebook: space.unproject(clusters),
        silhouettes,
    })
}

/// The leading principal components of a sample.
struct PrincipalSpace {
    /// `[D]`.
    mean: Array1<f32>,
    /// `[components, D]`, orthonormal rows.
    components: Array2<f32>,
}

impl PrincipalSpace {
    /// The space of a sample of tokens `[n, D]`.
    fn fit(sample: ArrayView2<'_, f32>) -> Result<Self> {
        let mut moments = Moments::new(sample.ncols());
        let rows = subsample_rows(sample, PCA_PATCHES);
        moments.add(rows.as_slice().unwrap_or_default());
        let basis = Basis::fit(&moments, COMPONENTS)?;
        let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let shape = (basis.variances.len(), sample.ncols());
        Ok(Self {
            mean: narrow(&basis.mean).into(),
            components: Array2::from_shape_vec(shape, narrow(&basis.components))
                .map_err(|e| Error::Model(format!("the components of patches: {e}")))?,
        })
    }

    /// Tokens `[n, D]` to coordinates `[n, components]`.
    fn project(&self, rows: ArrayView2<'_, f32>) -> Array2<f32> {
        let projected = (&rows - &self.mean).dot(&self.components.t());
        // In standard layout, so that rows can be read as slices.
        projected.as_standard_layout().into_owned()
    }

    /// Maps clusters in this space back to the space of tokens. Distances there differ by a constant that all clusters
    /// share.
    fn unproject(&self, clusters: Codebook) -> Codebook {
        let centres = clusters.centres.chunks_exact(clusters.dim());
        let lifted = centres.flat_map(|centre| {
            let centre = ArrayView1::from(centre).dot(&self.components) + &self.mean;
            centre.to_vec()
        });
        Codebook {
            centres: lifted.collect(),
            ..clusters
        }
    }
}

/// Tries all of [`AUTO_COUNTS`]: the chosen clusters, and each number's mean silhouette.
fn fit_best_count(
    sample: ArrayView2<'_, f32>,
    tick: &dyn Fn(usize, usize) -> Result<()>,
) -> Result<(Codebook, Vec<(usize, f64)>)> {
    let scored = subsample_rows(sample, SILHOUETTE_PATCHES);
    let distances = PairwiseDistances::between(scored.view());
    let mut tried = Vec::new();
    for k in AUTO_COUNTS.filter(|&k| k <= sample.nrows()) {
        let codebook = k_means(sample, k)?;
        let labels: Vec<usize> = scored
            .rows()
            .into_iter()
            .map(|row| nearest(&codebook, row.as_slice().unwrap_or_default()))
            .collect();
        tried.push((distances.silhouette(&labels), codebook));
        tick(tried.len(), AUTO_COUNTS.count())?;
    }
    let silhouettes = tried.iter().map(|(s, codebook)| (codebook.k, *s)).collect();
    let best = tried.iter().map(|(s, _)| *s).fold(f64::MIN, f64::max);
    // Where even the best silhouette is below 0, only it is good enough.
    let is_good = |s: f64| s == best || s >= SILHOUETTE_SHARE * best.max(0.0);
    match tried.into_iter().rfind(|(s, _)| is_good(*s)) {
        Some((_, codebook)) => Ok((codebook, silhouettes)),
        None => Err(Error::Usage(
            "--clusters: there is nothing to cluster".into(),
        )),
    }
}

/// k-means of the rows of `sample`, the largest cluster first.
fn k_means(sample: ArrayView2<'_, f32>, k: usize) -> Result<Codebook> {
    let failed = |e: &dyn fmt::Display| Error::Model(format!("k-means failed: {e}"));
    // Without a generator of its own it starts from linfa's fixed seed.
    let model = KMeans::params(k)
        .n_runs(RESTARTS)
        .max_n_iterations(MAX_ITERATIONS)
        .tolerance(1e-4)
        .check()
        .map_err(|e| failed(&e))?
        .fit(&DatasetBase::from(sample))
        .map_err(|e| failed(&e))?;
    let unordered = Codebook {
        centres: model.centroids().iter().copied().collect(),
        k,
        variance: 1.0,
    };
    Ok(sort_by_size(unordered, sample))
}

/// The codebook with the largest cluster first, and with its variance over `sample`.
fn sort_by_size(codebook: Codebook, sample: ArrayView2<'_, f32>) -> Codebook {
    let labels: Vec<usize> = sample
        .rows()
        .into_iter()
        .map(|row| nearest(&codebook, row.as_slice().unwrap_or_default()))
        .collect();
    let mut sizes = vec![0usize; codebook.k];
    labels.iter().for_each(|&label| sizes[label] += 1);
    let mut order: Vec<usize> = (0..codebook.k).collect();
    order.sort_by_key(|&label| std::cmp::Reverse(sizes[label]));
    let dim = codebook.dim();
    Codebook {
        centres: order
            .iter()
            .flat_map(|&label| &codebook.centres[label * dim..][..dim])
            .copied()
            .collect(),
        k: codebook.k,
        variance: mean_variance(&codebook, sample, &labels).max(MIN_VARIANCE),
    }
}

/// The mean variance of the patches around their centres along one direction of the space that the centres span.
fn mean_variance(codebook: &Codebook, sample: ArrayView2<'_, f32>, labels: &[usize]) -> f32 {
    let basis = centre_span_basis(codebook);
    if basis.is_empty() {
        return 0.0;
    }
    let along = sample.dot(&basis.t()); // [patches, rank]
    let mut sum = 0f64;
    let mut means = Array2::<f32>::zeros((codebook.k, basis.nrows()));
    for (mut mean, centre) in means
        .rows_mut()
        .into_iter()
        .zip(codebook.centres.chunks(codebook.dim()))
    {
        mean.assign(&basis.dot(&ArrayView1::from(centre)));
    }
    for (row, &label) in along.rows().into_iter().zip(labels) {
        let off = &row - &means.row(label);
        sum += f64::from(off.dot(&off));
    }
    (sum / (sample.nrows() * basis.nrows()) as f64) as f32
}

/// An orthonormal basis, in rows, of the differences between the centres, by the Gram-Schmidt process.
fn centre_span_basis(codebook: &Codebook) -> Array2<f32> {
    let dim = codebook.dim();
    let (first, others) = codebook.centres.split_at(dim);
    let mut basis: Vec<Vec<f32>> = Vec::new();
    for centre in others.chunks_exact(dim) {
        let mut rest: Vec<f32> = centre.iter().zip(first).map(|(a, b)| a - b).collect();
        // Twice, to recover the digits that cancellation loses the first time.
        for _ in 0..2 {
            for known in &basis {
                let part = dot(&rest, known);
                rest.iter_mut().zip(known).for_each(|(r, k)| *r -= part * k);
            }
        }
        let length = l2_norm(&rest);
        if length > 1e-4 {
            rest.iter_mut().for_each(|r| *r /= length);
            basis.push(rest);
        }
    }
    let flat: Vec<f32> = basis.iter().flatten().copied().collect();
    Array2::from_shape_vec((basis.len(), dim), flat).unwrap_or_else(|_| Array2::zeros((0, dim)))
}

/// The index of the centre nearest to `row`.
fn nearest(codebook: &Codebook, row: &[f32]) -> usize {
    let mut best = (0, f32::INFINITY);
    for (label, centre) in codebook.centres.chunks_exact(codebook.dim()).enumerate() {
        let distance = row.iter().zip(centre).map(|(a, b)| (a - b) * (a - b)).sum();
        if distance < best.1 {
            best = (label, distance);
        }
    }
    best.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::analysis::cluster::sample::splitmix64;
    use crate::model::input::PatchGrid;

    /// Two photos of 20 x 20 patches around five directions with some noise, of very different lengths; the first
    /// direction is twice as frequent.
    fn spool() -> TokenSpool {
        let mut spool = TokenSpool::new(6);
        for photo in 0..2u64 {
            let mut tokens = Vec::new();
            for i in 0..400u64 {
                let noise = |axis: u64| {
                    (splitmix64(photo * 10_000 + i * 8 + axis) % 1000) as f32 / 1000.0 - 0.5
                };
                let group = (i % 6).saturating_sub(1);
                let scale = 1.0 + (i % 7) as f32 * 10.0;
                tokens.extend(
                    (0..6).map(|axis| {
                        scale * (f32::from(u8::from(axis == group)) + 0.2 * noise(axis))
                    }),
                );
            }
            spool
                .push(PatchGrid { rows: 20, cols: 20 }, &tokens)
                .unwrap();
        }
        spool
    }

    #[test]
    fn auto_finds_the_groups_the_largest_first() {
        let fitted = fit(&mut spool(), ClusterCount::Auto, &|_, _| Ok(())).unwrap();
        assert_eq!(fitted.codebook.k, 5, "{:?}", fitted.silhouettes);
        assert_eq!(fitted.silhouettes.len(), AUTO_COUNTS.count());
        let (grid, tokens) = spool().read(1).unwrap();
        let scores = fitted.codebook.scores(&tokens, grid);
        let label = |patch: usize| {
            let row = &scores.values[patch * scores.k..][..scores.k];
            (0..scores.k)
                .max_by(|&a, &b| row[a].total_cmp(&row[b]))
                .unwrap()
        };
        assert_eq!(
            (label(0), label(1)),
            (0, 0),
            "the frequent direction is cluster 0"
        );
        let first: Vec<usize> = (0..6).map(label).collect();
        assert!((0..399).all(|patch| label(patch) == first[patch % 6]));
    }

    #[test]
    fn the_same_photos_give_the_same_clusters() {
        let count = ClusterCount::Exactly(4);
        let one = fit(&mut spool(), count, &|_, _| Ok(())).unwrap();
        assert_eq!(one, fit(&mut spool(), count, &|_, _| Ok(())).unwrap());
        assert_eq!((one.codebook.k, one.codebook.dim()), (4, 6));
        assert!(one.codebook.variance > 0.0);
    }

    #[test]
    fn the_variance_is_that_between_the_centres() {
        // Two clusters along x with a standard deviation of 0.1; what happens along y doesn't matter.
        let codebook = Codebook {
            centres: vec![0.0, 0.5, 1.0, 0.5],
            k: 2,
            variance: 1.0,
        };
        let rows = vec![-0.1, 0.0, 0.1, 1.0, 0.9, 0.0, 1.1, 1.0];
        let sample = Array2::from_shape_vec((4, 2), rows).unwrap();
        let found = mean_variance(&codebook, sample.view(), &[0, 0, 1, 1]);
        assert!((found - 0.01).abs() < 1e-6, "{found}");
    }

    #[test]
    fn too_few_patches_are_an_error() {
        let mut spool = TokenSpool::new(2);
        spool
            .push(PatchGrid { rows: 1, cols: 2 }, &[1.0, 0.0, 0.0, 1.0])
            .unwrap();
        let error = fit(&mut spool, ClusterCount::Exactly(3), &|_, _| Ok(())).unwrap_err();
        assert!(error.to_string().contains("only 2 patches"), "{error}");
    }

    #[test]
    fn patches_without_any_feature_do_no_harm() {
        let mut spool = TokenSpool::new(2);
        spool
            .push(PatchGrid { rows: 2, cols: 2 }, &[0.0; 8])
            .unwrap();
        let fitted = fit(&mut spool, ClusterCount::Exactly(2), &|_, _| Ok(())).unwrap();
        let scores = fitted
            .codebook
            .scores(&[0.0; 8], PatchGrid { rows: 2, cols: 2 });
        assert!(scores.values.iter().all(|score| score.is_finite()));
    }
}
