//! From scores over the patch grid to maps at the photo's own size, and measurements on those maps.
//!
//! [`segment`] and [`views`] turn class scores into a [`LabelMap`] (class ids and softmax probabilities), [`depth`]
//! turns the output of a depth head into a [`DepthMap`] (in the head's unit: metres, or relative inverse depth), and
//! [`refine`] fits either to the edges of the photo. [`areas`], [`regions`] and [`contours`] describe label maps;
//! [`metres`] converts depths to metres, and [`cloud`] to points in space. Nothing here reads or writes files.

pub mod areas;
pub mod camera;
pub mod cloud;
pub mod contours;
pub mod depth;
pub mod guided;
pub mod metres;
pub mod refine;
pub mod regions;
pub mod rows;
pub mod segment;
pub mod small_regions;
mod union_find;
pub mod views;

pub use areas::{ClassArea, NO_CLASS};
pub use camera::Pinhole;
pub use cloud::{Axes, PointCloud, PointCounts, Thinning};
pub use depth::DepthMap;
pub use metres::{MetricConversion, ScaleShift};
pub use regions::{MinArea, PixelBox, Region, Regions};
pub use segment::LabelMap;
