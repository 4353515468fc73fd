//! The sizes of tensors that tell published heads apart: a checkpoint says nothing else of what it is.

use std::fmt;

/// Which tensors a head has, as far as that tells heads apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadSignature {
    /// 256 bins.
    Depth {
        /// Numbers read of a patch.
        inputs: usize,
    },
    /// Classes of pixels.
    Segment {
        /// How many.
        classes: usize,
        /// Numbers read of a patch.
        inputs: usize,
    },
    /// 1000 classes of photos.
    Classify {
        /// Numbers read of a photo.
        inputs: usize,
    },
    /// Convolutions.
    Dpt {
        /// Width of a token.
        dim: usize,
    },
    /// Convolutions, as Depth Anything V2 has them.
    DepthAnything {
        /// Width of a token.
        dim: usize,
        /// Channels where the four stages come together.
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
