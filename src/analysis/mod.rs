//! Analysis of patch tokens without a head: principal components, clusters, similarity, and tracking of labels.
//!
//! Tokens `[rows * cols, D]` of the backbone in; plain numbers out (component scores, cluster scores, cosines, label
//! shares), which [`render`](crate::vision::render) draws. [`fit_file`] is the file format that fits share.

pub mod cluster;
pub mod fit_file;
pub mod pca;
pub mod similarity;
pub mod tracking;
