//! Evaluation: metrics as the papers compute them, from predictions and labels at the label's pixels.
//!
//! [`depth`] has the errors of metric depth after Eigen et al. with the crops of NYU Depth V2 and KITTI, [`confusion`]
//! the IoU and accuracies of classes after PASCAL VOC, [`segment`] the way from class scores to a confusion matrix,
//! [`coverage`] the calibration of a depth's standard deviation, [`label_changes`] the restlessness of label maps, and
//! [`depth_calibration`] the fit that brings depths to another camera.

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
