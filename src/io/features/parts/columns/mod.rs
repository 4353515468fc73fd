//! Rows as columns of Arrow's, which both Parquet and Arrow's own files have.
//!
//! One vector a photo is a fixed-size list (`cls`, `coarse_cls`); grids and sets are bytes, which every reader hands over
//! as they are, where it would go through lists number by number.

mod read;
mod row_group;
mod schema;
mod write;

pub(super) use read::{locate_array, read_arrays, read_row_infos};
pub(super) use schema::{check_value_sizes, dataset_schema, is_vector, metadata_columns};
pub(super) use write::{GroupWriter, GroupedPartWriter};
