//! Inference modes for whole photos: overlapping windows of one size ([`slide`]), and the published test-time protocols
//! with several sizes, mirrored views and windows ([`protocol`]). Both take a photo and a closure that scores a batch
//! of prepared inputs, and return scores over patch grids.

pub mod protocol;
pub mod slide;
