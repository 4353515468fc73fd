//! Pixels.

pub mod inference;
pub mod postprocess;
pub mod preprocess;
pub mod render;
