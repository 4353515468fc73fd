//! Judging predictions: figures as the papers compute them, from a prediction and a label of one size.

pub mod calibrate;
pub mod changes;
pub mod confusion;
pub mod coverage;
pub mod depth;
pub mod segment;

pub use changes::Changes;
pub use confusion::Confusion;
pub use coverage::Coverage;
pub use depth::{Crop, DepthErrors, Judge, kitti_crop};
pub use segment::MaskJudge;
