//! A part that is being written, and when it is full.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::features::arrays::{EncodedRow, FeatureArray};
use crate::io::features::parts::{self, FileStat, PartWriter};
use crate::io::features::{DatasetFormat, DatasetMeta, FinishedPart, RowInfo, RowName};

/// Bytes of what is known of rows besides their numbers, at most: headers of safetensors end at 100 MB.
const MAX_METADATA_BYTES: u64 = 16 << 20;

/// A part that is being written.
pub(super) struct UnfinishedPart {
    path: PathBuf,
    writer: Box<dyn PartWriter>,
    /// What was at its path before.
    before: Option<FileStat>,
    rows: Vec<RowName>,
    size: PartSize,
}

impl UnfinishedPart {
    /// Begins the part at `path`, where there is what was seen `before`, if anything.
    ///
    /// # Errors
    /// Names the path that cannot be written, or where there is something else by now.
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

    /// How much is in it.
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

    /// Puts the part in its place.
    ///
    /// # Errors
    /// Names the file that cannot be written, or that another program wrote meanwhile.
    pub(super) fn finish(self) -> Result<FinishedPart> {
        check_untouched(&self.path, &self.before)?;
        Ok(FinishedPart {
            files: self.writer.finish()?,
            path: self.path,
            rows: self.rows,
        })
    }
}

/// Refuses to replace what another program put at `path` meanwhile.
fn check_untouched(path: &Path, before: &Option<FileStat>) -> Result<()> {
    match FileStat::at(path) == *before {
        true => Ok(()),
        false => Err(Error::file(
            path,
            "is written by another program at the same time; run one after the other, or each on a shard of its own",
        )),
    }
}

/// How much is in a part.
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
        // As a header has them, with the key once for each tensor.
        let texts = stored.len() * (info.key.len() + 80) + info.key.len() + info.name.path.len();
        self.metadata_bytes += texts as u64 + 400;
    }

    /// Whether a part of this size is full.
    pub(super) fn is_full(&self, part_bytes: u64) -> bool {
        self.array_bytes >= part_bytes || self.metadata_bytes >= MAX_METADATA_BYTES
    }
}
