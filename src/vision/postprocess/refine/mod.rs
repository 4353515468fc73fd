//! Maps refined to the edges of the photo at its full resolution, without training.
//!
//! A patch is many pixels wide, so the borders of a map that is merely upsampled miss those of the objects in the
//! photo. Here each map gets the detail of the photo that correlates with it, by a guided filter in colour
//! ([`guided`](crate::vision::postprocess::guided)) whose linear coefficients are computed on a grid of cells, four
//! along the side of a patch, and applied at every pixel: [`refine_labels`] for class scores, [`refine_depth`] for the
//! logarithm of depth, [`refine_rows`] for any other channels of a patch grid.

mod cells;
mod channels;
mod depth;
mod labels;
mod linear;
#[cfg(test)]
mod tests;

pub use channels::refine_rows;
pub use depth::{DEPTH_FILTER, refine_depth, refine_depth_with};
pub use labels::{LABEL_FILTER, refine_labels, refine_labels_with};
