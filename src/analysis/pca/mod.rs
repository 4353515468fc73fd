//! Principal components of patch tokens, fitted over one photo or a whole folder.
//!
//! [`Moments`] accumulates mean and covariance image by image; [`Basis`] is their eigendecomposition;
//! [`ForegroundSplit`] is the split of the DINOv2 paper by the first component; [`Projection`] maps tokens `[N, D]` to
//! the numbers that are drawn as colours, and is stored in a basis file ([`mod@file`]). [`fit()`] makes one from the
//! tokens in a [`TokenSpool`].

pub mod basis;
pub mod file;
pub mod fit;
pub mod foreground;
pub mod moments;
pub mod projection;
pub mod spool;

pub use basis::Basis;
pub use fit::{ForegroundRule, PcaFitOptions, fit};
pub use foreground::ForegroundSplit;
pub use moments::Moments;
pub use projection::{ProjectedPatches, Projection};
pub use spool::TokenSpool;
