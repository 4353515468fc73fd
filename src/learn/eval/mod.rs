//! Evaluation: metrics as the papers compute them, from predictions and labels at the label's pixels.
//!
//! [`depth`] has the errors of metric depth after Eigen et al. with the crops of NYU Depth V2 and KITTI, [`confusion`]
//! the IoU and accuracies of classes after PASCAL VOC, [`segment`] the comparison of class scores with masks that fills
//! its matrix, [`coverage`] how often labels lie within the predicted standard deviation, [`label_changes`] the noise
//! of label maps, and [`depth_calibration`] the fit of depths to labels from another camera.

pub mod confusion;
pub mod coverage;
pub mod depth;
pub mod depth_calibration;
pub mod label_changes;
pub mod segment;

pub use confusion::Confusion;
pub use coverage::IntervalCoverage;
pub use depth::{Crop, DepthErrors, DepthEvaluator, kitti_crop};
pub use label_changes::LabelChanges;
pub use segment::MaskEvaluator;
