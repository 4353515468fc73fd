//! Part files of a dataset, in five formats: Parquet (`parquet.rs`) and Arrow IPC (`ipc.rs`), which share `columns`;
//! safetensors; NumPy arrays with a CSV table (`npy`); and WebDataset tars.
//!
//! Each format has a `PartWriter` and a `PartReader` (`part.rs`); `formats.rs` chooses between them. Both exchange rows
//! as encoded bytes, in the order of `FeatureArray::stored`. To add a format: a file here, an arm in each `match` of
//! `formats.rs`, and a variant of `DatasetFormat`.

mod checks;
mod columns;
mod file_stat;
mod formats;
mod ipc;
mod npy;
mod npy_header;
mod parquet;
mod part;
mod row_metadata;
mod safetensors;
mod tar;

pub(super) use file_stat::FileStat;
pub(super) use formats::{begin, check_row_fits, open, remove, rewrite_part, sweep};
pub(super) use part::{PartReader, PartWriter};
