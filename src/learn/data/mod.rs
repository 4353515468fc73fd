//! Labelled photos: which label belongs to which photo, how labels are read, and what their numbers mean.

mod affixes;
pub mod doubts;
pub mod fitting;
mod folders;
pub mod labels;
mod list;
mod names;
mod pairing;
mod public;
pub mod set;
pub mod split;
pub mod statistics;
pub mod taxonomy;
mod text;

pub use fitting::{Fitting, PhotoShape};
pub use labels::{Depth, Mask};
pub use set::{DataSet, LabelKind, Pair};
pub use split::{HoldOut, Split, folds_of};
pub use taxonomy::{SetLabels, Taxonomy};
