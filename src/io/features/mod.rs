//! Stored features: what the backbone computed for photos, in a dataset of part files that other programs read, and on
//! which heads and bases run later without the backbone.
//!
//! A dataset is a folder whose name ends as its parts do (`feats.parquet/part-00000.parquet`), with `_dataset.json`,
//! the [`DatasetMeta`]. A part appears complete or not at all. Each photo, or each page of one, is one [`FeatureRow`]
//! in exactly one part. [`DatasetWriter`] appends rows, [`Dataset`] reads them; `parts` has the five file formats.

mod arrays;
mod dataset;
mod difference;
mod finished_part;
mod folder;
mod folder_setup;
mod format;
mod meta;
mod part_name;
mod parts;
mod points;
pub mod pool;
mod retain;
mod row;
mod unfinished_part;
mod writer;
mod writer_options;

pub use dataset::Dataset;
pub use finished_part::FinishedPart;
pub use format::DatasetFormat;
pub use meta::{DatasetMeta, Precision, StoredLayer};
pub use points::PointList;
pub use row::{FeatureRow, RowInfo, RowName};
pub use writer::DatasetWriter;
pub use writer_options::{DEFAULT_PART_BYTES, WriterOptions};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
