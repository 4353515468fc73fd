//! The sizes of tensors by which published heads are recognised; their checkpoints have no other metadata.

use std::fmt;

/// The kind of a head and the sizes of its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadSignature {
    /// A linear depth head with 256 bins.
    Depth {
        /// Numbers read per patch: token width times blocks, doubled where the cls token is read too.
        inputs: usize,
    },
    /// A linear segmentation head.
    Segment {
        /// Number of classes.
        classes: usize,
        /// Numbers read per patch: token width times blocks.
        inputs: usize,
    },
    /// A linear classifier of whole photos into 1000 classes.
    Classify {
        /// Numbers read per photo: the cls token of each block, and the mean of the patch tokens.
        inputs: usize,
    },
    /// A DPT head for depth (Ranftl et al., 2021).
    Dpt {
        /// Width of a token.
        dim: usize,
    },
    /// The DPT decoder of Depth Anything V2, which has no readout of the cls token.
    DepthAnything {
        /// Width of a token.
        dim: usize,
        /// Channels of the fusion blocks.
        features: usize,
    },
}

impl fmt::Display for HeadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadSignature::Depth { inputs } => {
                write!(f, "a linear depth head that reads {inputs} numbers")
            }
            HeadSignature::Segment { classes, inputs } => write!(
                f,
                "a segmentation head of {classes} classes that reads {inputs} numbers"
            ),
            HeadSignature::Classify { inputs } => {
                write!(f, "a classifier that reads {inputs} numbers")
            }
            HeadSignature::Dpt { dim } => write!(f, "a DPT head for tokens of {dim} numbers"),
            HeadSignature::DepthAnything { dim, features } => write!(
                f,
                "a head of Depth Anything with {features} channels for tokens of {dim} numbers"
            ),
        }
    }
}
