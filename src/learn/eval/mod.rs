//! Judging predictions: figures as the papers compute them, from a prediction and a label of one size.

pub mod confusion;
pub mod coverage;
pub mod depth;
pub mod depth_calibration;
pub mod label_changes;
pub mod segment;

pub use confusion::Confusion;
pub use coverage::IntervalCoverage;
pub use depth::{Crop, DepthErrors, Evaluator, kitti_crop};
pub use label_changes::LabelChanges;
pub use segment::MaskEvaluator;
