//! Analysis of patch tokens without a head.

pub mod cluster;
pub mod fit_file;
pub mod pca;
pub mod similarity;
pub mod tracking;
