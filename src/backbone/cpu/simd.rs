//! Sixteen `f32` at once, on whatever vector unit there is.
//!
//! [`Simd`] is what the kernels are written in. Its implementors are tokens: one exists only where its instructions
//! have been found, so the kernels can use it without asking again. `dispatch!` compiles a kernel once for each.

#![allow(unsafe_code)] // Intrinsics; each block says why it is sound.

/// Numbers in a [`Line`].
pub const LANES: usize = 16;

/// A cache line of numbers, of neighbouring tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct Line(pub [f32; LANES]);

// SAFETY: sixteen `f32` and nothing else: no padding, every bit pattern is one.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for Line {}

impl Line {
    /// Zeros.
    pub const ZERO: Line = Line([0.0; LANES]);
}

/// The vector unit to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// x86-64 with 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// x86-64 with 256 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// aarch64.
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    /// Every machine.
    Portable(Portable),
}

impl Isa {
    /// All that this machine has, the best first.
    pub fn available() -> Vec<Isa> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
                found.push(Isa::Avx512(Avx512(())));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Isa::Avx2(Avx2(())));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            found.push(Isa::Neon(Neon(())));
        }
        found.push(Isa::Portable(Portable));
        found
    }

    /// The best that this machine has.
    pub fn best() -> Isa {
        Self::available()[0]
    }
}

/// AVX-512F and FMA were found.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512(());

/// AVX2 and FMA were found.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

/// NEON was found.
#[cfg(target_arch = "aarch64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neon(());

/// Plain Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portable;

/// Arithmetic on sixteen numbers. NaN goes through all of it.
pub trait Simd: Copy + Send + Sync {
    /// Sixteen numbers in registers.
    type V: Copy;
    /// Rows and lines of a tile of a product that stays in this unit's registers.
    const TILE: (usize, usize);

    /// One number in all lanes.
    fn splat(self, value: f32) -> Self::V;
    /// From memory.
    fn load(self, line: &Line) -> Self::V;
    /// To memory.
    fn store(self, value: Self::V, line: &mut Line);
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger one; `b` where one is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// Without its sign.
    fn abs(self, a: Self::V) -> Self::V;
    /// Its square root.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// To the nearest whole number, of numbers within ±2^22.
    fn round(self, a: Self::V) -> Self::V;
    /// Asks for the cache line at `address`, wherever that points; a hint.
    #[inline(always)]
    fn prefetch(self, _address: *const f32) {}
    /// `a * 2^n` for whole `n` from -126 to 127.
    fn scale(self, a: Self::V, n: Self::V) -> Self::V;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Avx2, Avx512, Line, Simd};

    // SAFETY (of every block below): the token exists, so the instructions do; a `Line` is 64 aligned bytes.
    impl Simd for Avx512 {
        #[inline(always)]
        fn prefetch(self, address: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
        }
        type V = __m512;
        const TILE: (usize, usize) = (8, 3);

        #[inline(always)]
        fn splat(self, value: f32) -> __m512 {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        fn load(self, line: &Line) -> __m512 {
            unsafe { _mm512_load_ps(line.0.as_ptr()) }
        }
        #[inline(always)]
        fn store(self, value: __m512, line: &mut Line) {
            unsafe { _mm512_store_ps(line.0.as_mut_ptr(), value) }
        }
        #[inline(always)]
        fn add(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        fn sub(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        fn mul(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        fn div(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_div_ps(a, b) }
        }
        #[inline(always)]
        fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn max(self, a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        fn abs(self, a: __m512) -> __m512 {
            unsafe { _mm512_abs_ps(a) }
        }
        #[inline(always)]
        fn sqrt(self, a: __m512) -> __m512 {
            unsafe { _mm512_sqrt_ps(a) }
        }
        #[inline(always)]
        fn round(self, a: __m512) -> __m512 {
            unsafe { _mm512_roundscale_ps::<0>(a) }
        }
        #[inline(always)]
        fn scale(self, a: __m512, n: __m512) -> __m512 {
            unsafe { _mm512_scalef_ps(a, n) }
        }
    }

    impl Simd for Avx2 {
        #[inline(always)]
        fn prefetch(self, address: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
        }
        type V = [__m256; 2];
        const TILE: (usize, usize) = (4, 1);

        #[inline(always)]
        fn splat(self, value: f32) -> Self::V {
            unsafe { [_mm256_set1_ps(value); 2] }
        }
        #[inline(always)]
        fn load(self, line: &Line) -> Self::V {
            let start = line.0.as_ptr();
            unsafe { [_mm256_load_ps(start), _mm256_load_ps(start.add(8))] }
        }
        #[inline(always)]
        fn store(self, value: Self::V, line: &mut Line) {
            let start = line.0.as_mut_ptr();
            unsafe {
                _mm256_store_ps(start, value[0]);
                _mm256_store_ps(start.add(8), value[1]);
            }
        }
        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn sub(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn mul(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn div(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe {
                [
                    _mm256_fmadd_ps(a[0], b[0], c[0]),
                    _mm256_fmadd_ps(a[1], b[1], c[1]),
                ]
            }
        }
        #[inline(always)]
        fn max(self, a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn abs(self, a: Self::V) -> Self::V {
            unsafe {
                let sign = _mm256_set1_ps(-0.0);
                [_mm256_andnot_ps(sign, a[0]), _mm256_andnot_ps(sign, a[1])]
            }
        }
        #[inline(always)]
        fn sqrt(self, a: Self::V) -> Self::V {
            unsafe { [_mm256_sqrt_ps(a[0]), _mm256_sqrt_ps(a[1])] }
        }
        #[inline(always)]
        fn round(self, a: Self::V) -> Self::V {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            unsafe {
                [
                    _mm256_round_ps::<NEAREST>(a[0]),
                    _mm256_round_ps::<NEAREST>(a[1]),
                ]
            }
        }
        #[inline(always)]
        fn scale(self, a: Self::V, n: Self::V) -> Self::V {
            unsafe {
                let half = |a: __m256, n: __m256| {
                    // Added to the exponent.
                    let n = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(n));
                    _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), n))
                };
                [half(a[0], n[0]), half(a[1], n[1])]
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::{LANES, Line, Neon, Simd};

    const PARTS: usize = LANES / 4;

    #[inline(always)]
    fn each(f: impl Fn(usize) -> float32x4_t) -> [float32x4_t; PARTS] {
        [f(0), f(1), f(2), f(3)]
    }

    // SAFETY (of every block below): the token exists, so the instructions do; a `Line` is 64 aligned bytes.
    impl Simd for Neon {
        type V = [float32x4_t; PARTS];
        const TILE: (usize, usize) = (4, 1);

        #[inline(always)]
        fn splat(self, value: f32) -> Self::V {
            unsafe { [vdupq_n_f32(value); PARTS] }
        }
        #[inline(always)]
        fn load(self, line: &Line) -> Self::V {
            each(|i| unsafe { vld1q_f32(line.0.as_ptr().add(4 * i)) })
        }
        #[inline(always)]
        fn store(self, value: Self::V, line: &mut Line) {
            for (i, part) in value.into_iter().enumerate() {
                unsafe { vst1q_f32(line.0.as_mut_ptr().add(4 * i), part) }
            }
        }
        #[inline(always)]
        fn add(self, a: Self::V, b: Self::V) -> Self::V {
            each(|i| unsafe { vaddq_f32(a[i], b[i]) })
        }
        #[inline(always)]
        fn sub(self, a: Self::V, b: Self::V) -> Self::V {
            each(|i| unsafe { vsubq_f32(a[i], b[i]) })
        }
        #[inline(always)]
        fn mul(self, a: Self::V, b: Self::V) -> Self::V {
            each(|i| unsafe { vmulq_f32(a[i], b[i]) })
        }
        #[inline(always)]
        fn div(self, a: Self::V, b: Self::V) -> Self::V {
            each(|i| unsafe { vdivq_f32(a[i], b[i]) })
        }
        #[inline(always)]
        fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            each(|i| unsafe { vfmaq_f32(c[i], a[i], b[i]) })
        }
        #[inline(always)]
        fn max(self, a: Self::V, b: Self::V) -> Self::V {
            each(|i| unsafe { vmaxq_f32(a[i], b[i]) })
        }
        #[inline(always)]
        fn abs(self, a: Self::V) -> Self::V {
            each(|i| unsafe { vabsq_f32(a[i]) })
        }
        #[inline(always)]
        fn sqrt(self, a: Self::V) -> Self::V {
            each(|i| unsafe { vsqrtq_f32(a[i]) })
        }
        #[inline(always)]
        fn round(self, a: Self::V) -> Self::V {
            each(|i| unsafe { vrndnq_f32(a[i]) })
        }
        #[inline(always)]
        fn scale(self, a: Self::V, n: Self::V) -> Self::V {
            each(|i| unsafe {
                // Added to the exponent.
                let n = vshlq_n_s32::<23>(vcvtq_s32_f32(n[i]));
                vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a[i]), n))
            })
        }
    }
}

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> [f32; LANES] {
    std::array::from_fn(f)
}

impl Simd for Portable {
    type V = [f32; LANES];
    const TILE: (usize, usize) = (4, 1);

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; LANES]
    }
    #[inline(always)]
    fn load(self, line: &Line) -> Self::V {
        line.0
    }
    #[inline(always)]
    fn store(self, value: Self::V, line: &mut Line) {
        line.0 = value;
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] / b[i])
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Not `f32::mul_add`, which is a call where there is no such instruction.
        each(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        each(|i| a[i].abs())
    }
    #[inline(always)]
    fn sqrt(self, a: Self::V) -> Self::V {
        each(|i| a[i].sqrt())
    }
    #[inline(always)]
    fn round(self, a: Self::V) -> Self::V {
        const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: no room for fractions above it
        each(|i| (a[i] + ROUND) - ROUND)
    }
    #[inline(always)]
    fn scale(self, a: Self::V, n: Self::V) -> Self::V {
        each(|i| f32::from_bits(a[i].to_bits().wrapping_add(((n[i] as i32) << 23) as u32)))
    }
}

/// The numbers of `lines`, in their order.
pub fn flat(lines: &[Line]) -> &[f32] {
    bytemuck::cast_slice(lines)
}

/// The numbers of `lines`, in their order.
pub fn flat_mut(lines: &mut [Line]) -> &mut [f32] {
    bytemuck::cast_slice_mut(lines)
}

/// Defines `pub fn $name(isa, ...)` that runs the generic kernel `$body(token, ...)` compiled for `isa`.
macro_rules! dispatch {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        $(#[$doc])*
        pub fn $name(isa: $crate::backbone::cpu::simd::Isa, $($arg: $ty),*) {
            use $crate::backbone::cpu::simd::{self, Isa};
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512(token) => {
                    #[target_feature(enable = "avx512f,fma")]
                    fn compiled(token: simd::Avx512, $($arg: $ty),*) {
                        $body(token, $($arg),*)
                    }
                    // SAFETY: the token says that the features are there.
                    #[allow(unsafe_code)]
                    unsafe { compiled(token, $($arg),*) }
                }
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2(token) => {
                    #[target_feature(enable = "avx2,fma")]
                    fn compiled(token: simd::Avx2, $($arg: $ty),*) {
                        $body(token, $($arg),*)
                    }
                    // SAFETY: the token says that the features are there.
                    #[allow(unsafe_code)]
                    unsafe { compiled(token, $($arg),*) }
                }
                #[cfg(target_arch = "aarch64")]
                Isa::Neon(token) => {
                    #[target_feature(enable = "neon")]
                    fn compiled(token: simd::Neon, $($arg: $ty),*) {
                        $body(token, $($arg),*)
                    }
                    // SAFETY: the token says that the features are there.
                    #[allow(unsafe_code)]
                    unsafe { compiled(token, $($arg),*) }
                }
                Isa::Portable(token) => $body(token, $($arg),*),
            }
        }
    };
}

pub(super) use dispatch;
