//! Segmentation without a head: k-means clusters of the last block's patch tokens, rendered as classes are.
//!
//! In: patch tokens `[rows * cols, D]` of each photo, or a codebook of an earlier run. Out: the files of
//! [`segment`](super::segment), with clusters numbered from 1 as the classes, and with `--save-codebook` the codebook.
//! `task` holds both passes, `codebook` the file, and `clip` the frames of clips.

mod clip;
mod codebook;
mod task;

pub use task::ClustersTask;
