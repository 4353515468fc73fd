//! What a backbone is shown.

pub mod coarse;
pub mod geometry;
pub mod grid;

pub use coarse::Coarse;
pub use geometry::{Geometry, Padding, SizeRule, Unpad};
pub use grid::Grid;
