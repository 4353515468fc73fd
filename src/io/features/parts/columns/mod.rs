//! Rows as columns of Arrow, which Parquet and Arrow IPC parts share.
//!
//! The vector arrays (`cls`, `coarse_cls`) are fixed-size lists. Other arrays are binary values, which readers return
//! as they are, whereas lists would be decoded value by value.

mod read;
mod row_group;
mod schema;
mod write;

pub(super) use read::{locate_array, read_arrays, read_row_infos};
pub(super) use schema::{check_value_sizes, dataset_schema, is_vector, metadata_columns};
pub(super) use write::{GroupWriter, GroupedPartWriter};
