//! Labelled photos: which label belongs to which photo, how labels are read, and what their numbers mean.

pub mod labels;
mod list;
mod public;
pub mod set;
pub mod taxonomy;

pub use labels::{Depth, Mask};
pub use set::{DataSet, HoldOut, LabelKind, Pair, Split};
pub use taxonomy::{SetLabels, Taxonomy};
