//! Labelled data sets: which label belongs to which photo, how label files are read, and what their numbers mean.
//!
//! In: the path of a folder, a list or a public release. Out: a [`DataSet`] of pairs ([`data_set`]), which [`split`]
//! divides into training and validation; [`labels`] reads the files of masks and depth maps, [`taxonomy`] gives ids
//! their classes, [`alignment`] lays labels onto their photos, and [`checks`] refuses implausible labels by the
//! [`statistics`] of a sample.

mod affixes;
pub mod alignment;
pub mod checks;
mod companions;
pub mod data_set;
mod file_names;
mod folder_names;
mod folders;
pub mod labels;
mod list;
mod open;
mod pairing;
mod public_releases;
pub mod split;
pub mod statistics;
pub mod taxonomy;
mod text;

pub use alignment::{LabelAlignment, PhotoShape};
pub use data_set::{DataSet, LabelKind, LabelledPair};
pub use labels::{DepthLabel, Mask};
pub use split::{SplitStrategy, ValidationSplit, folds_of};
pub use taxonomy::{SetLabels, Taxonomy};
