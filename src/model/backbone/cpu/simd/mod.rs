//! Sixteen `f32` at once, on whatever vector unit there is.
//!
//! [`Simd`] is what the kernels are written in. Its implementors are tokens: one exists only where its instructions
//! have been found, so the kernels can use it without asking again. `dispatch!` compiles a kernel once for each.

#![allow(unsafe_code)] // Intrinsics; each block says why it is sound.

/// Numbers in a [`CacheLine`].
pub const LANES: usize = 16;

/// A cache line of numbers, of neighbouring tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct CacheLine(pub [f32; LANES]);

// SAFETY: sixteen `f32` and nothing else: no padding, every bit pattern is one.
unsafe impl bytemuck::Zeroable for CacheLine {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for CacheLine {}

impl CacheLine {
    /// Zeros.
    pub const ZERO: CacheLine = CacheLine([0.0; LANES]);
}

#[cfg(target_arch = "aarch64")]
mod arm;
mod portable;
mod selection;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use selection::select_isa;

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

    /// Rows of a tile of a product.
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

    /// A word for it.
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
    fn load(self, line: &CacheLine) -> Self::V;
    /// To memory.
    fn store(self, value: Self::V, line: &mut CacheLine);
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
    fn ldexp(self, a: Self::V, n: Self::V) -> Self::V;
}

/// The numbers of `lines`, in their order.
pub fn as_floats(lines: &[CacheLine]) -> &[f32] {
    bytemuck::cast_slice(lines)
}

/// The numbers of `lines`, in their order.
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
