//! [`Simd`] in plain Rust, for every machine; the reference of the other vector units in tests.

use super::{CacheLine, LANES, Portable, Simd};

/// `[expression of lane 0, ... of lane 15]`: a loop that the compiler vectorises. A closure
/// would be a call where it lands in another unit of code generation.
macro_rules! each {
    (|$i:ident| $value:expr) => {{
        let mut lanes = [0.0; LANES];
        let mut $i = 0;
        while $i < LANES {
            lanes[$i] = $value;
            $i += 1;
        }
        lanes
    }};
}

impl Simd for Portable {
    type V = [f32; LANES];
    const TILE: (usize, usize) = (4, 1);

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; LANES]
    }
    #[inline(always)]
    fn load(self, line: &CacheLine) -> Self::V {
        line.0
    }
    #[inline(always)]
    fn store(self, value: Self::V, line: &mut CacheLine) {
        line.0 = value;
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        each!(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        each!(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        each!(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        each!(|i| a[i] / b[i])
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Not `f32::mul_add`, which is a call where there is no such instruction.
        each!(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        each!(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        each!(|i| a[i].abs())
    }
    #[inline(always)]
    fn sqrt(self, a: Self::V) -> Self::V {
        each!(|i| a[i].sqrt())
    }
    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: no room for fractions above it
        each!(|i| (a[i] + ROUND) - ROUND)
    }
    #[inline(always)]
    fn ldexp(self, a: Self::V, n: Self::V) -> Self::V {
        each!(|i| f32::from_bits(a[i].to_bits().wrapping_add(((n[i] as i32) << 23) as u32)))
    }
}
