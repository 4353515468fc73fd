//! Parts that consist of groups of rows, which are gathered and written together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::{Group, described};
use crate::error::{Error, Result};
use crate::io::features::DatasetMeta;
use crate::io::features::arrays::Encoded;
use crate::io::features::parts::{Files, PartWriter};
use crate::system::files::AtomicFile;

/// A library's writer of a file of record batches.
pub(in crate::io::features::parts) trait GroupWriter:
    Send + Sized
{
    /// What it says where it fails.
    type Failure: From<arrow_schema::ArrowError>;

    /// Begins a file of these columns.
    fn begin(
        file: AtomicFile,
        schema: &SchemaRef,
        meta: &DatasetMeta,
    ) -> Result<Self, Self::Failure>;

    /// Writes a group.
    fn put(&mut self, group: &RecordBatch) -> Result<(), Self::Failure>;

    /// Writes the end; the file, which is not in its place yet.
    fn end(self) -> Result<AtomicFile, Self::Failure>;

    /// The error of the file at `path`.
    fn unwritten(path: &Path, failure: Self::Failure) -> Error;
}

/// Writes a part by a library's writer.
pub(in crate::io::features::parts) struct Grouping<W> {
    path: PathBuf,
    meta: Arc<DatasetMeta>,
    schema: SchemaRef,
    group: Group,
    writer: W,
}

impl<W: GroupWriter> Grouping<W> {
    /// Begins the part at `path`.
    pub(in crate::io::features::parts) fn begin(
        path: &Path,
        meta: &Arc<DatasetMeta>,
    ) -> Result<Self> {
        let schema = Arc::new(described(meta));
        let writer = W::begin(AtomicFile::begin(path)?, &schema, meta);
        Ok(Grouping {
            path: path.to_owned(),
            meta: Arc::clone(meta),
            schema,
            group: Group::default(),
            writer: writer.map_err(|failure| W::unwritten(path, failure))?,
        })
    }

    fn flush(&mut self) -> Result<()> {
        let group = self.group.take(&self.meta, &self.schema);
        let written = group.map_err(W::Failure::from).and_then(|group| {
            let put = |group: &RecordBatch| self.writer.put(group);
            group.as_ref().map_or(Ok(()), put)
        });
        written.map_err(|failure| W::unwritten(&self.path, failure))
    }
}

impl<W: GroupWriter> PartWriter for Grouping<W> {
    fn push(&mut self, row: Encoded) -> Result<()> {
        match self.group.push(row) {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<Files> {
        self.flush()?;
        let file = self.writer.end();
        let file = file.map_err(|failure| W::unwritten(&self.path, failure))?;
        let stamp = file.finish()?;
        Ok(vec![(self.path, stamp)])
    }
}
