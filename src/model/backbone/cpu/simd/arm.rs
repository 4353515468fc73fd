//! [`Simd`] by the intrinsics of NEON.

use std::arch::aarch64::*;

use super::{CacheLine, LANES, Neon, Simd};

const PARTS: usize = LANES / 4;

/// `[expression of part 0, ... of part 3]`. A closure would be compiled without these instructions.
macro_rules! each {
    (|$i:ident| $value:expr) => {{
        let mut parts = [vdupq_n_f32(0.0); PARTS];
        let mut $i = 0;
        while $i < PARTS {
            parts[$i] = $value;
            $i += 1;
        }
        parts
    }};
}

// SAFETY (of every block below): the token proves that the instructions exist; a `CacheLine` is 64 aligned bytes.
impl Simd for Neon {
    type V = [float32x4_t; PARTS];
    const TILE: (usize, usize) = (6, 1);

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        unsafe { [vdupq_n_f32(value); PARTS] }
    }
    #[inline(always)]
    fn load(self, line: &CacheLine) -> Self::V {
        unsafe { each!(|i| vld1q_f32(line.0.as_ptr().add(4 * i))) }
    }
    #[inline(always)]
    fn store(self, value: Self::V, line: &mut CacheLine) {
        for i in 0..PARTS {
            unsafe { vst1q_f32(line.0.as_mut_ptr().add(4 * i), value[i]) }
        }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { each!(|i| vaddq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { each!(|i| vsubq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { each!(|i| vmulq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { each!(|i| vdivq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        unsafe { each!(|i| vfmaq_f32(c[i], a[i], b[i])) }
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { each!(|i| vmaxq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        unsafe { each!(|i| vabsq_f32(a[i])) }
    }
    #[inline(always)]
    fn sqrt(self, a: Self::V) -> Self::V {
        unsafe { each!(|i| vsqrtq_f32(a[i])) }
    }
    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        unsafe { each!(|i| vrndnq_f32(a[i])) }
    }
    #[inline(always)]
    fn ldexp(self, a: Self::V, n: Self::V) -> Self::V {
        unsafe {
            each!(|i| {
                // Added to the exponent.
                let n = vshlq_n_s32::<23>(vcvtq_s32_f32(n[i]));
                vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a[i]), n))
            })
        }
    }
}
