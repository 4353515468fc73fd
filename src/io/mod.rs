//! Inputs and outputs.

pub mod features;
pub mod inputs;
pub mod manifest;
pub mod output;
pub mod video;
