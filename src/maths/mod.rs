//! Numerics that several modules share, on slices of numbers.
//!
//! [`matrix`] multiplies row-major slices on all threads (gemm) and takes statistics of their columns; [`quantile`]
//! takes percentiles of slices, and of streams from an evenly thinned sample; [`resample`] has the taps of linear
//! interpolation at half-pixel centres (PyTorch's `align_corners=False`).

pub mod matrix;
pub mod quantile;
pub mod resample;

pub use quantile::StreamSampler;
pub use resample::{LinearTaps, SampleAxis};
