//! Arithmetic on sixteen `f32` at once, for each vector unit: AVX-512, AVX2, NEON, or plain Rust.
//!
//! Kernels are generic over [`Simd`]. Its implementors are tokens that exist only where their instructions have been
//! detected, so kernels use them without checking again. `dispatch!` compiles a kernel once for each unit and chooses
//! by [`Isa`] at run time.

#![allow(unsafe_code)] // Intrinsics; each block says why it is sound.

/// Numbers in a [`CacheLine`].
pub const LANES: usize = 16;

/// A cache line of sixteen numbers: one feature of sixteen neighbouring tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct CacheLine(pub [f32; LANES]);

// SAFETY: sixteen `f32` and nothing else: no padding, every bit pattern is one.
unsafe impl bytemuck::Zeroable for CacheLine {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for CacheLine {}

impl CacheLine {
    /// Sixteen zeros.
    pub const ZERO: CacheLine = CacheLine([0.0; LANES]);
}

#[cfg(target_arch = "aarch64")]
mod arm;
mod portable;
mod selection;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use selection::select_isa;

/// A vector unit (instruction set) that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// x86-64 with AVX-512F and FMA, 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// x86-64 with AVX2 and FMA, 256 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// aarch64 with NEON, 128 bits.
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    /// Plain Rust, on every machine.
    Portable(Portable),
}

impl Isa {
    /// All vector units of this machine, the fastest first; [`Isa::Portable`] is the last.
    pub fn available() -> Vec<Isa> {
        let mut units = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
                units.push(Isa::Avx512(Avx512(())));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                units.push(Isa::Avx2(Avx2(())));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            units.push(Isa::Neon(Neon(())));
        }
        units.push(Isa::Portable(Portable));
        units
    }

    /// The fastest vector unit of this machine.
    pub fn best() -> Isa {
        Self::available()[0]
    }

    /// Rows of a product's register tile on this unit.
    pub fn tile_rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => Avx512::TILE.0,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => Avx2::TILE.0,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(_) => Neon::TILE.0,
            Isa::Portable(_) => Portable::TILE.0,
        }
    }

    /// Its name in options and reports: `avx512`, `avx2`, `neon` or `none`.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(_) => "neon",
            Isa::Portable(_) => "none",
        }
    }
}

/// Proof that AVX-512F and FMA were detected.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512(());

/// Proof that AVX2 and FMA were detected.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

/// Proof that NEON was detected.
#[cfg(target_arch = "aarch64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neon(());

/// Plain Rust, which needs no detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portable;

/// Arithmetic on sixteen numbers, lane by lane. NaN propagates through every operation but [`Simd::max`], see there.
pub trait Simd: Copy + Send + Sync {
    /// Sixteen numbers in one or more registers.
    type V: Copy;
    /// Rows and lines of the tile of a product that fits into this unit's registers.
    const TILE: (usize, usize);

    /// `value` in all lanes.
    fn splat(self, value: f32) -> Self::V;
    /// Reads a line.
    fn load(self, line: &CacheLine) -> Self::V;
    /// Writes a line.
    fn store(self, value: Self::V, line: &mut CacheLine);
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the unit has fused multiply-add.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger one of each pair. Where one of them is NaN: `b`, but NaN on NEON.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The absolute values.
    fn abs(self, a: Self::V) -> Self::V;
    /// The square roots.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// The nearest whole numbers, ties to even, for numbers within ±2^22.
    fn round(self, a: Self::V) -> Self::V;
    /// Hints that the cache line at `address` will be read; any address is allowed.
    #[inline(always)]
    fn prefetch(self, _address: *const f32) {}
    /// `a * 2^n` for whole `n` from -126 to 127.
    fn ldexp(self, a: Self::V, n: Self::V) -> Self::V;
}

/// The numbers of `lines`, sixteen per line.
pub fn as_floats(lines: &[CacheLine]) -> &[f32] {
    bytemuck::cast_slice(lines)
}

/// The numbers of `lines`, sixteen per line.
pub fn as_floats_mut(lines: &mut [CacheLine]) -> &mut [f32] {
    bytemuck::cast_slice_mut(lines)
}

/// Defines `pub fn $name(isa, ...)` that runs the generic kernel `$body(token, ...)` compiled for `isa`.
macro_rules! dispatch {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        $(#[$doc])*
        pub fn $name(isa: $crate::model::backbone::cpu::simd::Isa, $($arg: $ty),*) {
            use $crate::model::backbone::cpu::simd::{self, Isa};
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512(token) => {
                    #[target_feature(enable = "avx512f,fma")]
                    fn compiled(token: simd::Avx512, $($arg: $ty),*) {
                        $body(token, $($arg),*)
                    }
                    // SAFETY: the token proves that the features are there.
                    #[allow(unsafe_code)]
                    unsafe { compiled(token, $($arg),*) }
                }
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2(token) => {
                    #[target_feature(enable = "avx2,fma")]
                    fn compiled(token: simd::Avx2, $($arg: $ty),*) {
                        $body(token, $($arg),*)
                    }
                    // SAFETY: the token proves that the features are there.
                    #[allow(unsafe_code)]
                    unsafe { compiled(token, $($arg),*) }
                }
                #[cfg(target_arch = "aarch64")]
                Isa::Neon(token) => {
                    #[target_feature(enable = "neon")]
                    fn compiled(token: simd::Neon, $($arg: $ty),*) {
                        $body(token, $($arg),*)
                    }
                    // SAFETY: the token proves that the features are there.
                    #[allow(unsafe_code)]
                    unsafe { compiled(token, $($arg),*) }
                }
                Isa::Portable(token) => $body(token, $($arg),*),
            }
        }
    };
}

pub(super) use dispatch;
