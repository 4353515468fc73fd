//! Features of photos, stored: what the backbone gave for each, in a dataset of part files that other programs read, and
//! that heads and bases can be run on later without the backbone.
//!
//! A dataset is a folder whose name ends as its parts do (`feats.parquet/part-00000.parquet`), with `_dataset.json`, which
//! is a [`DatasetMeta`]. A part appears complete or not at all. Each photo, or each page of one, is a [`Row`] of exactly
//! one part.

mod arrays;
mod begun;
mod dataset;
mod difference;
mod folder;
mod format;
mod meta;
mod parts;
mod points;
pub mod pool;
mod retain;
mod row;
mod settle;
mod writer;

pub use dataset::Dataset;
pub use format::Format;
pub use meta::{DatasetMeta, Layer, Precision};
pub use points::PointList;
pub use row::{Row, RowInfo, RowName};
pub use writer::{DatasetWriter, FinishedPart, PART_BYTES, WriterOptions};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
