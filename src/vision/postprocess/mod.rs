//! Scores over the patch grid become maps of the photo, at the photo's own size.

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
