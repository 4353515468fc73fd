//! Labelled photos: which label belongs to which photo, how labels are read, and what their numbers mean.

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
