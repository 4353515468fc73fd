//! Numeric building blocks that know nothing of photos or models: matrix products and column statistics, percentiles of
//! streams, and bilinear sampling.

pub mod matrix;
pub mod quantile;
pub mod resample;

pub use quantile::StreamSampler;
pub use resample::{LinearTaps, SampleAxis};
