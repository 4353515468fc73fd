//! Stored features: the backbone's outputs for photos, in datasets of part files that other programs can read. Heads
//! and PCA bases run on them later without the backbone.
//!
//! A dataset is a folder with the same extension as its parts (`feats.parquet/part-00000.parquet`), with
//! `_dataset.json`, the [`DatasetMeta`]. A part appears complete or not at all. Each photo, or each page of one, is one
//! [`FeatureRow`] of a part; a writer refuses to add it twice. [`DatasetWriter`] appends rows, [`Dataset`] reads them;
//! `parts` has the five file formats.

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
