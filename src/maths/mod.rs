//! Maths.

pub mod matrix;
pub mod quantile;
pub mod resample;

pub use quantile::Sampler;
pub use resample::{Axis, Taps};
