//! The part writer that Parquet and Arrow IPC share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::row_group::RowGroupBuffer;
use super::schema::schema_with_meta;
use crate::error::{Error, Result};
use crate::io::features::DatasetMeta;
use crate::io::features::arrays::EncodedRow;
use crate::io::features::parts::part::{PartFiles, PartWriter};
use crate::system::files::AtomicFile;

/// A library's file writer for record batches.
pub(in crate::io::features::parts) trait GroupWriter:
    Send + Sized
{
    /// The library's error.
    type Error: From<arrow_schema::ArrowError>;

    /// Begins a file of these columns.
    fn begin(file: AtomicFile, schema: &SchemaRef, meta: &DatasetMeta)
    -> Result<Self, Self::Error>;

    /// Writes a group.
    fn write_group(&mut self, group: &RecordBatch) -> Result<(), Self::Error>;

    /// Writes the end of the file, and returns it; it is not at its path yet.
    fn into_file(self) -> Result<AtomicFile, Self::Error>;

    /// Turns a `failure` with the file at `path` into an error that names it.
    fn write_error(path: &Path, failure: Self::Error) -> Error;
}

/// Writes a part in row groups by a library's writer.
pub(in crate::io::features::parts) struct GroupedPartWriter<W> {
    path: PathBuf,
    meta: Arc<DatasetMeta>,
    schema: SchemaRef,
    group: RowGroupBuffer,
    writer: W,
}

impl<W: GroupWriter> GroupedPartWriter<W> {
    /// Begins the part at `path`.
    pub(in crate::io::features::parts) fn begin(
        path: &Path,
        meta: &Arc<DatasetMeta>,
    ) -> Result<Self> {
        let schema = Arc::new(schema_with_meta(meta));
        let writer = W::begin(AtomicFile::begin(path)?, &schema, meta);
        Ok(GroupedPartWriter {
            path: path.to_owned(),
            meta: Arc::clone(meta),
            schema,
            group: RowGroupBuffer::default(),
            writer: writer.map_err(|failure| W::write_error(path, failure))?,
        })
    }

    /// Writes the gathered rows, if there are any.
    fn flush(&mut self) -> Result<()> {
        let group = self.group.take(&self.meta, &self.schema);
        let written = group.map_err(W::Error::from).and_then(|group| {
            let put = |group: &RecordBatch| self.writer.write_group(group);
            group.as_ref().map_or(Ok(()), put)
        });
        written.map_err(|failure| W::write_error(&self.path, failure))
    }
}

impl<W: GroupWriter> PartWriter for GroupedPartWriter<W> {
    fn push(&mut self, row: EncodedRow) -> Result<()> {
        match self.group.push(row) {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<PartFiles> {
        self.flush()?;
        let file = self.writer.into_file();
        let file = file.map_err(|failure| W::write_error(&self.path, failure))?;
        let stamp = file.finish()?;
        Ok(vec![(self.path, stamp)])
    }
}
