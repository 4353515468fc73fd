//! The backbone's input: how a photo is resized and padded into whole patches, and how a map comes back.
//!
//! [`geometry`] has the rule of sizes and [`Geometry`], which relates photo, resized and padded pixels and the patch
//! grid; [`coarse`] is the share of the sides at the coarse of two input scales. A head's file names all of it, so it
//! lies below the heads; [`preprocess`](crate::vision::preprocess) makes the pixels.

pub mod coarse;
pub mod geometry;
pub mod patch_grid;

pub use coarse::CoarseScale;
pub use geometry::{Geometry, Padding, SizeRule, Unpad};
pub use patch_grid::PatchGrid;
