//! What a backbone is shown.

pub mod coarse;
pub mod geometry;
pub mod patch_grid;

pub use coarse::CoarseScale;
pub use geometry::{Geometry, Padding, SizeRule, Unpad};
pub use patch_grid::Grid;
