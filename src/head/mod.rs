//! Lightweight heads on frozen features: one linear layer (or one hidden layer) a patch, from patch tokens to depth
//! bins or class scores.
//!
//! [`meta`] is what a head says about itself, [`mod@file`] its bytes, [`linear`] its maths. Turning scores into maps of
//! the photo is [`postprocess`](crate::postprocess)'s work.

pub mod file;
pub mod linear;
pub mod meta;

pub use linear::{Head, Scores};
pub use meta::{Bins, Class, HeadMeta, InputRecipe, Metric, Spacing, Task, Training};
