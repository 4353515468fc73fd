//! The micro-kernel of all matrix products, as in BLIS: a tile of the result stays in registers while one column of the
//! left side and one row of the right side are multiplied at a time.
//!
//! The right side is a panel of tokens (see [`panel`](super::panel)); the left side, an [`LhsPanel`], is packed weights
//! in products and the keys or values of a head in attention.

use super::panel::ROW_LINES;
use super::simd::{CacheLine, Simd};

/// The left side of a product as a strided view: the number at row `r` and depth `k` is
/// `values[r * row_stride + k * depth_stride]`.
#[derive(Debug, Clone, Copy)]
pub struct LhsPanel<'a> {
    /// The numbers, from row 0 and depth 0 on.
    pub values: &'a [f32],
    /// Distance from one row to the next, in numbers.
    pub row_stride: usize,
    /// Distance from one depth to the next, in numbers.
    pub depth_stride: usize,
    /// Distance to the numbers that the next product reads, which are prefetched meanwhile, in numbers; added by
    /// wrapping.
    pub prefetch_offset: usize,
    /// Distance between the prefetched numbers of one depth and the next, in numbers.
    pub prefetch_stride: usize,
}

impl LhsPanel<'_> {
    /// The panel from row `first` on; only where `row_stride` is 1.
    #[inline(always)]
    pub fn from_row(self, first: usize) -> Self {
        LhsPanel {
            values: &self.values[first..],
            ..self
        }
    }
}

/// Depths per iteration of the unrolled loop.
const UNROLL: usize = 4;

/// `sums + left * right` over `steps` depths, for a tile of `R` rows and `C` lines of 16 columns. The row of `right` at
/// depth `k` starts at its line `k * ROW_LINES`. Every sum adds its products in rising order of depth.
///
/// Like all kernels it has no closures: one would be compiled without the vector unit's instructions.
///
/// # Panics
/// If `left` or `right` is shorter than its strides and `steps` say.
#[inline(always)]
#[allow(unsafe_code, clippy::needless_range_loop)]
pub fn microkernel<S: Simd, const R: usize, const C: usize>(
    s: S,
    mut sums: [[S::V; C]; R],
    steps: usize,
    left: LhsPanel<'_>,
    right: &[CacheLine],
) -> [[S::V; C]; R] {
    let Some(last) = steps.checked_sub(1) else {
        return sums;
    };
    assert!((R - 1) * left.row_stride + last * left.depth_stride < left.values.len());
    assert!(last * ROW_LINES + C <= right.len());
    let (mut a, mut b) = (left.values.as_ptr(), right.as_ptr());
    let mut ahead = a.wrapping_add(left.prefetch_offset);
    // A macro, since a closure would be compiled without the vector unit's instructions.
    macro_rules! step {
        () => {
            // SAFETY: the assertions say that the furthest number and line read are within their slices; the pointers
            // move past them only by wrapping.
            unsafe {
                s.prefetch(ahead);
                let mut lines = [s.splat(0.0); C];
                for c in 0..C {
                    lines[c] = s.load(&*b.add(c));
                }
                for r in 0..R {
                    let factor = s.splat(*a.add(r * left.row_stride));
                    for c in 0..C {
                        sums[r][c] = s.mul_add(factor, lines[c], sums[r][c]);
                    }
                }
            }
            a = a.wrapping_add(left.depth_stride);
            b = b.wrapping_add(ROW_LINES);
            ahead = ahead.wrapping_add(left.prefetch_stride);
        };
    }
    // `UNROLL` steps without a branch between them.
    for _ in 0..steps / UNROLL {
        for _ in 0..UNROLL {
            step!();
        }
    }
    for _ in 0..steps % UNROLL {
        step!();
    }
    sums
}
