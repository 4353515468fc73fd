//! TODO

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
