//! The published test-time protocols, as a head's metadata names them. Those for segmentation are implemented in
//! [`vision::inference`](crate::vision::inference).

use serde::{Deserialize, Serialize};

/// A published test-time protocol (facebookresearch/dinov2's notebooks and mmsegmentation configurations).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Depth: one pass over the photo at its own size.
    Plain,
    /// Depth: the mean of the depths of the photo and of its mirror image.
    Flip,
    /// Segmentation: one pass with the short side at 512 pixels.
    Whole,
    /// Segmentation: the short side at 512 pixels, in windows of 512 with a stride of 341.
    Slide,
    /// Segmentation: the mean over five sizes and their mirror images, in windows of 640 pixels with a stride of 320.
    Ms,
}

impl Protocol {
    /// All protocols, those for depth first.
    pub const ALL: [Protocol; 5] = [
        Protocol::Plain,
        Protocol::Flip,
        Protocol::Whole,
        Protocol::Slide,
        Protocol::Ms,
    ];

    /// Its name in options and in the metadata of heads.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Plain => "plain",
            Protocol::Flip => "flip",
            Protocol::Whole => "whole",
            Protocol::Slide => "slide",
            Protocol::Ms => "ms",
        }
    }

    /// The task of the heads that it is for: `depth` or `segment`.
    pub fn task(self) -> &'static str {
        match self {
            Protocol::Plain | Protocol::Flip => "depth",
            Protocol::Whole | Protocol::Slide | Protocol::Ms => "segment",
        }
    }
}
