//! Inference modes beside the whole photo at once, in mmsegmentation's words `slide` and the published test protocols.
//!
//! [`slide`] averages a head's scores over overlapping windows of a large photo; [`protocol`] resizes, crops, flips and averages as the
//! publishers of a head measured it.

pub mod protocol;
pub mod slide;
