//! Patch features without a head: `[rows * cols, dim]` tokens in, components, clusters, similarities or masks out.
//!
//! [`pca`] fits and applies principal components in f64, over one photo or a folder; [`cluster`] is k-means on
//! L2-normalised tokens; [`similarity`] compares one patch with all; [`tracking`] propagates a mask through a clip by
//! its tokens. [`fit_file`] is the safetensors format in which bases and codebooks are kept.

pub mod cluster;
pub mod fit_file;
pub mod pca;
pub mod similarity;
pub mod tracking;
