//! Features of photos, stored: what the backbone gave for each, in a dataset of part files that other programs read, and
//! that heads and bases can be run on later without the backbone.
//!
//! A dataset is a folder whose name ends as its parts do (`feats.parquet/part-00000.parquet`), with `_dataset.json`, which
//! is a [`DatasetMeta`]. A part appears complete or not at all. Each photo, or each page of one, is a [`Row`] of exactly
//! one part.

mod meta;
mod row;

pub use meta::{DatasetMeta, Precision};
pub use row::{Row, RowName};
