//! What the ids of masks mean: a list of classes (`classes.json`), or one joint taxonomy for several data sets, in
//! which an id of a set stands for one class or for any of several.
//!
//! In: the JSON of a class list or of a taxonomy. Out: the [`Class`](crate::model::head::meta::Class)es of a head and,
//! for each data set, the [`SetLabels`] that map its ids to them.

mod class_list;
mod joint;
mod set_labels;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub(super) use class_list::describe_ids;
pub use class_list::{own_classes, read_classes, voc_color};
pub use joint::Taxonomy;
pub use set_labels::SetLabels;
pub(super) use set_labels::WHITES;
