//! Rows as columns of Arrow, which Parquet and Arrow IPC parts share.
//!
//! An array that is one vector a photo (`cls`, `coarse_cls`) is a fixed-size list. Grids and sets are binary values,
//! which every reader returns as they are, where lists would be decoded number by number.

mod read;
mod row_group;
mod schema;
mod write;

pub(super) use read::{locate_array, read_arrays, read_row_infos};
pub(super) use schema::{check_value_sizes, dataset_schema, is_vector, metadata_columns};
pub(super) use write::{GroupWriter, GroupedPartWriter};
