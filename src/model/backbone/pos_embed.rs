//! Bicubic interpolation of position embeddings from the native grid to another one, in the two forms that
//! facebookresearch/dinov2 (`interpolate_pos_encoding`) uses; a [`PosEmbedRule`] selects one.
//!
//! Plain models: `F.interpolate(mode="bicubic", scale_factor=(n + 0.1) / m)`: four taps, Keys' cubic with
//! A = -0.75, indices clamped at the edge, and coordinates computed from the *given* scale. Register models:
//! antialiased bicubic to an exact size: A = -0.5, support widened when shrinking, weights renormalised over the
//! taps that exist. Both are separable, so an axis is a short list of (index, weight) per output position.
//!
//! Guarded by the tests of this module and by `tests/suite/backbone_goldens.rs`, which compares embeddings of square,
//! smaller, larger and non-square grids with PyTorch (`every_stage_of`, `the_exact_size_rule_agrees_with_pytorch`).

use crate::model::backbone::config::PosEmbedRule;

/// Interpolated embeddings of this many grid sizes are kept; a folder of photos rarely has more.
pub(super) const CACHED_GRIDS: usize = 16;

/// For one output position along an axis, the native positions that it mixes and their weights, which sum to 1.
type PosEmbedTaps = Vec<(usize, f64)>;

/// Interpolates the embedding `native` `[side, side, dim]` to `[rows, cols, dim]`, both row-major, with sums in f64.
///
/// # Panics
/// If `native` does not have `side * side * dim` numbers.
pub fn interpolate(
    native: &[f32],
    side: usize,
    dim: usize,
    rule: PosEmbedRule,
    rows: usize,
    cols: usize,
) -> Vec<f32> {
    assert_eq!(
        native.len(),
        side * side * dim,
        "a position embedding is native x native x dim"
    );
    if rows == side && cols == side {
        return native.to_vec();
    }
    let x_taps = axis_taps(rule, side, cols);
    let y_taps = axis_taps(rule, side, rows);
    // Width first, then height, as the reference does.
    let mut wide = vec![0f64; side * cols * dim];
    for y in 0..side {
        for (x, taps) in x_taps.iter().enumerate() {
            let out = &mut wide[(y * cols + x) * dim..][..dim];
            for &(source, weight) in taps {
                let row = &native[(y * side + source) * dim..][..dim];
                for (o, &v) in out.iter_mut().zip(row) {
                    *o += weight * f64::from(v);
                }
            }
        }
    }
    let mut result = Vec::with_capacity(rows * cols * dim);
    let mut acc = vec![0f64; dim];
    for taps in &y_taps {
        for x in 0..cols {
            acc.fill(0.0);
            for &(source, weight) in taps {
                for (a, &v) in acc
                    .iter_mut()
                    .zip(&wide[(source * cols + x) * dim..][..dim])
                {
                    *a += weight * v;
                }
            }
            result.extend(acc.iter().map(|&v| v as f32));
        }
    }
    result
}

/// The taps of each of `out` positions along an axis of `side` native positions.
fn axis_taps(rule: PosEmbedRule, side: usize, out: usize) -> Vec<PosEmbedTaps> {
    let scale = side as f64 / (out as f64 + rule.offset);
    (0..out)
        .map(|i| {
            if rule.antialias {
                antialiased_bicubic_taps(i, side, scale)
            } else {
                bicubic_taps(i, side, scale)
            }
        })
        .collect()
}

/// The four taps of output `i`, clamped at the edges; `scale` is native positions per output position.
fn bicubic_taps(i: usize, side: usize, scale: f64) -> PosEmbedTaps {
    let center = (i as f64 + 0.5) * scale - 0.5;
    let first = center.floor();
    let clamp = |j: f64| j.clamp(0.0, side as f64 - 1.0) as usize;
    (-1..=2)
        .map(|k| {
            (
                clamp(first + f64::from(k)),
                cubic_kernel(center - first - f64::from(k), -0.75),
            )
        })
        .collect()
}

/// The taps of output `i` within the widened support, renormalised over those on the grid.
fn antialiased_bicubic_taps(i: usize, side: usize, scale: f64) -> PosEmbedTaps {
    let center = scale * (i as f64 + 0.5);
    let stretch = scale.max(1.0);
    let support = 2.0 * stretch;
    let first = (center - support + 0.5).max(0.0) as usize;
    let last = ((center + support + 0.5) as usize).min(side);
    let mut taps: PosEmbedTaps = (first..last)
        .map(|j| (j, cubic_kernel((j as f64 + 0.5 - center) / stretch, -0.5)))
        .collect();
    let total: f64 = taps.iter().map(|tap| tap.1).sum();
    taps.iter_mut().for_each(|tap| tap.1 /= total);
    taps
}

/// Keys' cubic convolution kernel with parameter `a`.
fn cubic_kernel(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: PosEmbedRule = PosEmbedRule {
        offset: 0.1,
        antialias: false,
    };
    const REG: PosEmbedRule = PosEmbedRule {
        offset: 0.0,
        antialias: true,
    };

    #[test]
    fn weights_sum_to_one() {
        for rule in [PLAIN, REG] {
            for out in [1, 3, 16, 37, 50, 111] {
                for taps in axis_taps(rule, 37, out) {
                    let total: f64 = taps.iter().map(|tap| tap.1).sum();
                    assert!((total - 1.0).abs() < 1e-12, "{rule:?} {out}: {total}");
                }
            }
        }
    }

    #[test]
    fn the_native_grid_is_copied() {
        let native: Vec<f32> = (0..2 * 9).map(|v| v as f32).collect();
        assert_eq!(interpolate(&native, 3, 2, PLAIN, 3, 3), native);
    }

    #[test]
    fn a_constant_stays_constant() {
        for rule in [PLAIN, REG] {
            for value in interpolate(&[2.5; 49], 7, 1, rule, 5, 11) {
                assert!((value - 2.5).abs() < 1e-6);
            }
        }
    }
}
