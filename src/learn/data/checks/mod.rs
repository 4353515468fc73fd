//! Plausibility checks before hours of training: the content of a sample of the labels against the classes, units and
//! ranges that they are about to be read with.
//!
//! In: the statistics of a [`LabelSample`](super::statistics::LabelSample) and the options in force. Out: an error
//! where hardly anything can be learnt, else warnings, as sentences, about probable mistakes.

mod depth;
mod masks;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use depth::DepthMapCheck;
pub use masks::{IgnoredId, MaskCheck, absent_classes, join_some};
