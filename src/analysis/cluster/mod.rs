//! Unsupervised parts: k-means over the L2-normalised patch tokens of many photos.
//!
//! [`fit()`] makes a [`Codebook`] from the tokens in a [`TokenSpool`](crate::analysis::pca::TokenSpool); the codebook
//! turns a photo's tokens `[rows * cols, D]` into [`Scores`](crate::model::head::Scores), as a head does, so that
//! postprocessing and rendering are the same. Normalised tokens are compared by angle, which is how DINO's training
//! compares them; their length says little about the content of a patch. [`mod@file`] stores a codebook, [`silhouette`]
//! rates a clustering.

pub mod codebook;
pub mod file;
pub mod fit;
mod sample;
pub mod silhouette;

pub use codebook::Codebook;
pub use fit::{ClusterCount, ClusterFit, fit};
