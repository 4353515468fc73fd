//! The geometry of a backbone's input: the patch grid, the mapping between a photo and its padded input, and the coarse
//! scale. Numbers only; pixels are resized in [`preprocess`](crate::vision::preprocess).

pub mod coarse;
pub mod geometry;
pub mod patch_grid;

pub use coarse::CoarseScale;
pub use geometry::{Geometry, Padding, SizeRule, Unpad};
pub use patch_grid::Grid;
