//! Samples of patches, the same for the same photos: everything random is a hash of the index.

use ndarray::{Array2, ArrayView2, Axis};

use crate::analysis::cluster::codebook::l2_norm;
use crate::analysis::pca::TokenSpool;
use crate::error::{Error, Result};

/// At most `most` patch tokens, normalised to length 1, spread evenly over all photos: `[n, D]`.
///
/// # Errors
/// If the spool cannot be read.
pub(super) fn sample_patches(spool: &mut TokenSpool, most: usize) -> Result<Array2<f32>> {
    let dim = spool.dim();
    let total = spool.patches();
    let mut wanted = stratified_indices(total, most).peekable();
    let mut values = Vec::with_capacity(total.min(most) * dim);
    let mut first = 0;
    for index in 0..spool.len() {
        let (grid, tokens) = spool.read(index)?;
        while let Some(patch) = wanted.next_if(|patch| *patch < first + grid.len()) {
            let token = &tokens[(patch - first) * dim..][..dim];
            let length = l2_norm(token);
            values.extend(token.iter().map(|v| v / length));
        }
        first += grid.len();
    }
    let rows = values.len() / dim;
    Array2::from_shape_vec((rows, dim), values)
        .map_err(|e| Error::Model(format!("the sample of patches: {e}")))
}

/// `most` of `total` indices in rising order (all if there are fewer), one at a random place in each of `most` equal
/// stretches: a fixed step could coincide with the columns of the grids.
fn stratified_indices(total: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = total.min(most);
    (0..count).map(move |i| {
        let (start, end) = (i * total / count, (i + 1) * total / count);
        start + (splitmix64(i as u64) % (end - start) as u64) as usize
    })
}

/// The finaliser of SplitMix64 (Steele et al., 2014): well-mixed bits for every number.
pub(super) fn splitmix64(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// At most `most` of the rows, evenly spread.
pub(super) fn subsample_rows(rows: ArrayView2<'_, f32>, most: usize) -> Array2<f32> {
    let chosen: Vec<usize> = stratified_indices(rows.nrows(), most).collect();
    rows.select(Axis(0), &chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_over_everything() {
        assert_eq!(
            stratified_indices(5, 9).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4]
        );
        let chosen: Vec<usize> = stratified_indices(1000, 100).collect();
        assert!(chosen.is_sorted_by(|a, b| a < b));
        assert!(chosen.iter().enumerate().all(|(i, place)| place / 10 == i));
        let columns: std::collections::BTreeSet<_> =
            chosen.iter().map(|place| place % 10).collect();
        assert!(columns.len() > 5);
    }
}
