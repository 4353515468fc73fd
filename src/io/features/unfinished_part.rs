//! The part that a writer is filling, and when it is full.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::features::arrays::{EncodedRow, FeatureArray};
use crate::io::features::parts::{self, FileStat, PartWriter};
use crate::io::features::{DatasetFormat, DatasetMeta, FinishedPart, RowInfo, RowName};

/// Maximum number of bytes of row metadata in a part: safetensors headers are limited to 100 MB.
const MAX_METADATA_BYTES: u64 = 16 << 20;

/// A part that is being written, until it is full.
pub(super) struct UnfinishedPart {
    path: PathBuf,
    writer: Box<dyn PartWriter>,
    /// Size, time and inode of the file at `path` when the part was begun; `None` if there was none.
    before: Option<FileStat>,
    rows: Vec<RowName>,
    size: PartSize,
}

impl UnfinishedPart {
    /// Begins the part at `path`, where the existing file must have the stat `before`, or be missing if that is `None`.
    ///
    /// # Errors
    /// Names the path if it cannot be written, or if another program has written there meanwhile.
    pub(super) fn new(
        format: DatasetFormat,
        path: PathBuf,
        before: Option<FileStat>,
        meta: &Arc<DatasetMeta>,
    ) -> Result<Self> {
        check_untouched(&path, &before)?;
        Ok(UnfinishedPart {
            writer: parts::begin(format, &path, meta)?,
            path,
            before,
            rows: Vec::new(),
            size: PartSize::default(),
        })
    }

    /// Its size so far.
    pub(super) fn size(&self) -> PartSize {
        self.size
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Names the file that cannot be written; the part is lost then.
    pub(super) fn push(&mut self, row: EncodedRow, meta: &DatasetMeta) -> Result<()> {
        self.size.add(&row.info, meta);
        self.rows.push(row.info.name.clone());
        self.writer.push(row)
    }

    /// Completes the part, which appears at its path.
    ///
    /// # Errors
    /// Names the file if it cannot be written, or if another program has written it meanwhile.
    pub(super) fn finish(self) -> Result<FinishedPart> {
        check_untouched(&self.path, &self.before)?;
        Ok(FinishedPart {
            files: self.writer.finish()?,
            path: self.path,
            rows: self.rows,
        })
    }
}

/// Fails if another program has written the file at `path` since `before` was taken.
fn check_untouched(path: &Path, before: &Option<FileStat>) -> Result<()> {
    match FileStat::at(path) == *before {
        true => Ok(()),
        false => Err(Error::file(
            path,
            "is written by another program at the same time; run one after the other, or each on a shard of its own",
        )),
    }
}

/// Size of a part: bytes of arrays and estimated bytes of row metadata.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PartSize {
    array_bytes: u64,
    metadata_bytes: u64,
}

impl PartSize {
    /// Adds a row.
    pub(super) fn add(&mut self, info: &RowInfo, meta: &DatasetMeta) {
        let stored = FeatureArray::stored(meta);
        let numbers = stored
            .iter()
            .map(|array| array.size_in_bytes(meta, info) as u64);
        self.array_bytes += numbers.sum::<u64>();
        // An estimate for a safetensors header, which repeats the key for each tensor.
        let texts = stored.len() * (info.key.len() + 80) + info.key.len() + info.name.path.len();
        self.metadata_bytes += texts as u64 + 400;
    }

    /// Whether a part of this size is full.
    pub(super) fn is_full(&self, part_bytes: u64) -> bool {
        self.array_bytes >= part_bytes || self.metadata_bytes >= MAX_METADATA_BYTES
    }
}
