//! Maths.

pub mod matrix;
pub mod quantile;
pub mod resample;

pub use quantile::StreamSampler;
pub use resample::{LinearTaps, SampleAxis};
