//! Inference modes.

pub mod protocol;
pub mod slide;
