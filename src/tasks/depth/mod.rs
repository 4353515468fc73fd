//! Depth of every pixel by a head: as a picture, as numbers in files, and as a point cloud.
//!
//! In: the head's scores over the patch grid. Out: depths `[height, width]` at the photo's size, in the head's unit
//! (metres, or relative inverse depth) or in metres by `--scale` and `--shift`, and the files of them.
//!
//! [`DepthPredictor`] reads depths out of scores, with `head` (the head's record), `conversion` (to metres),
//! `full_size` (to the photo's size) and `warnings`. `task` holds both passes of [`DepthTask`], `deferred` the photos
//! between them, and `clip` the frames of clips. `files` writes the files of one photo, `picture` the colours,
//! `point_cloud` the points as `camera` places them, and `report` the text in files and the JSON line; `file_names` has
//! the extensions.

mod camera;
mod clip;
mod conversion;
mod deferred;
mod file_names;
mod files;
mod full_size;
mod head;
mod photo_depth;
mod picture;
mod point_cloud;
mod predictor;
mod report;
mod task;
mod warnings;

pub use conversion::metric_conversion;
pub use file_names::extensions;
pub use full_size::refine_depth;
pub use head::{METRE, bin_spread, depth_readout, not_finite_error};
pub use predictor::{DEFAULT_REFINE, DepthPredictor};
pub use task::DepthTask;
