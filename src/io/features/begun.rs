//! A part that is being written, and when it is full.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::features::arrays::{Array, Encoded};
use crate::io::features::parts::{self, PartWriter, Seen};
use crate::io::features::{DatasetMeta, FinishedPart, Format, RowInfo, RowName};

/// Bytes of what is known of rows besides their numbers, at most: headers of safetensors end at 100 MB.
const FACT_BYTES: u64 = 16 << 20;

/// A part that is being written.
pub(super) struct Begun {
    path: PathBuf,
    writer: Box<dyn PartWriter>,
    /// What was at its path before.
    before: Option<Seen>,
    rows: Vec<RowName>,
    size: Size,
}

impl Begun {
    /// Begins the part at `path`, where there is what was seen `before`, if anything.
    ///
    /// # Errors
    /// Names the path that cannot be written, or where there is something else by now.
    pub(super) fn new(
        format: Format,
        path: PathBuf,
        before: Option<Seen>,
        meta: &Arc<DatasetMeta>,
    ) -> Result<Self> {
        check_untouched(&path, &before)?;
        Ok(Begun {
            writer: parts::begin(format, &path, meta)?,
            path,
            before,
            rows: Vec::new(),
            size: Size::default(),
        })
    }

    /// How much is in it.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Names the file that cannot be written; the part is lost then.
    pub(super) fn push(&mut self, row: Encoded, meta: &DatasetMeta) -> Result<()> {
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
fn check_untouched(path: &Path, before: &Option<Seen>) -> Result<()> {
    match Seen::at(path) == *before {
        true => Ok(()),
        false => Err(Error::file(
            path,
            "is written by another program at the same time; run one after the other, or each on a shard of its own",
        )),
    }
}

/// How much is in a part.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    numbers: u64,
    facts: u64,
}

impl Size {
    /// Adds a row.
    pub(super) fn add(&mut self, info: &RowInfo, meta: &DatasetMeta) {
        let stored = Array::stored(meta);
        let numbers = stored.iter().map(|array| array.bytes(meta, info) as u64);
        self.numbers += numbers.sum::<u64>();
        // As a header has them, with the key once for each tensor.
        let texts = stored.len() * (info.key.len() + 80) + info.key.len() + info.name.path.len();
        self.facts += texts as u64 + 400;
    }

    /// Whether a part of this size is full.
    pub(super) fn is_full(&self, part_bytes: u64) -> bool {
        self.numbers >= part_bytes || self.facts >= FACT_BYTES
    }
}
