//! Arrow's IPC files: record batches of 16 MiB, which are read where they are mapped.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::writer::FileWriter;
use arrow_ipc::{Block, root_as_footer};
use arrow_schema::{ArrowError, SchemaRef};

use crate::error::{Error, Result};
use crate::features::arrays::{Array, Encoded};
use crate::features::parts::columns::{self, Group};
use crate::features::parts::{
    Files, GROUP_BYTES, META_KEY, Part, PartWriter, Seen, check_meta, damaged, foreign, guarded,
};
use crate::features::{DatasetMeta, RowInfo};
use crate::output::AtomicFile;

/// How a file begins and ends.
const MAGIC: &[u8] = b"ARROW1";

/// The footer's length and the magic behind it.
const TAIL: usize = 10;

pub(super) struct Writer {
    path: PathBuf,
    meta: Arc<DatasetMeta>,
    schema: SchemaRef,
    group: Group,
    writer: FileWriter<AtomicFile>,
}

impl Writer {
    pub(super) fn begin(path: &Path, meta: &Arc<DatasetMeta>) -> Result<Self> {
        let schema = Arc::new(columns::described(meta));
        let writer = FileWriter::try_new(AtomicFile::begin(path)?, &schema)
            .map_err(|error| unwritten(path, error))?;
        Ok(Writer {
            path: path.to_owned(),
            meta: Arc::clone(meta),
            schema,
            group: Group::default(),
            writer,
        })
    }

    fn flush(&mut self) -> Result<()> {
        let batch = self.group.take(&self.meta, &self.schema);
        let written = batch.and_then(|batch| match batch {
            Some(batch) => self.writer.write(&batch),
            None => Ok(()),
        });
        written.map_err(|error| unwritten(&self.path, error))
    }
}

impl PartWriter for Writer {
    fn push(&mut self, row: Encoded) -> Result<()> {
        match self.group.push(row, GROUP_BYTES) {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<Files> {
        self.flush()?;
        let file = self.writer.into_inner();
        let file = file.map_err(|error| unwritten(&self.path, error))?;
        let stamp = file.finish()?;
        Ok(vec![(self.path, stamp)])
    }
}

fn unwritten(path: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => Error::io(path, &error),
        error => Error::file(path, error.to_string()),
    }
}

pub(super) struct Reader {
    path: PathBuf,
    meta: Arc<DatasetMeta>,
    schema: SchemaRef,
    version: arrow_ipc::MetadataVersion,
    bytes: Buffer,
    blocks: Vec<Block>,
    /// The number of the first row of each block, and that of all rows.
    starts: Vec<usize>,
}

impl Reader {
    pub(super) fn open(
        path: &Path,
        meta: &Arc<DatasetMeta>,
    ) -> Result<(Vec<RowInfo>, Box<dyn Part>)> {
        let (file, seen) = Seen::open(path)?;
        if seen.bytes < (MAGIC.len() + TAIL) as u64 {
            return Err(damaged(path, "it is too short"));
        }
        let bytes = map(&file).map_err(|error| Error::io(path, &error))?;
        let bytes = Buffer::from(bytes);
        if !bytes.starts_with(MAGIC) {
            return Err(foreign(path));
        }
        let wrong = |error: ArrowError| damaged(path, error);
        let end = bytes.len() - TAIL;
        let mut tail = [0; TAIL];
        tail.copy_from_slice(&bytes[end..]);
        let footer = read_footer_length(tail).map_err(wrong)?;
        let footer = end
            .checked_sub(footer)
            .ok_or_else(|| damaged(path, "it is shorter than it says"))?;
        let footer = root_as_footer(&bytes[footer..end])
            .map_err(|error| damaged(path, format!("its footer is wrong: {error}")))?;
        let schema = footer
            .schema()
            .ok_or_else(|| damaged(path, "it has no schema"))?;
        let schema = try_fb_to_schema(schema).map_err(wrong)?;
        let said = schema.metadata().get(META_KEY).map(String::as_str);
        check_meta(path, said, meta)?;
        if schema.fields() != columns::schema(meta).fields() {
            return Err(foreign(path));
        }
        let version = footer.version();
        let blocks = footer.recordBatches();
        let blocks: Vec<Block> =
            blocks.map_or_else(Vec::new, |blocks| blocks.iter().copied().collect());
        let mut part = Reader {
            path: path.to_owned(),
            meta: Arc::clone(meta),
            schema: Arc::new(schema),
            version,
            bytes: bytes.clone(),
            blocks,
            starts: vec![0],
        };
        let facts = (0..columns::facts(meta).len()).collect();
        let decoder = part.decoder().with_projection(facts);
        let mut rows = Vec::new();
        for block in 0..part.blocks.len() {
            let batch = part.decode(&decoder, block)?;
            columns::read_facts(path, &batch, meta, &mut rows)?;
            part.starts.push(rows.len());
        }
        Ok((rows, Box::new(part)))
    }

    fn decoder(&self) -> FileDecoder {
        FileDecoder::new(Arc::clone(&self.schema), self.version)
    }

    fn decode(&self, decoder: &FileDecoder, index: usize) -> Result<RecordBatch> {
        let block = &self.blocks[index];
        let length = i64::from(block.metaDataLength())
            .checked_add(block.bodyLength())
            .and_then(|length| usize::try_from(length).ok());
        let within = usize::try_from(block.offset())
            .ok()
            .zip(length)
            .filter(|(offset, length)| {
                offset
                    .checked_add(*length)
                    .is_some_and(|end| end <= self.bytes.len())
            });
        let Some((offset, length)) = within else {
            return Err(damaged(&self.path, "it is shorter than it says"));
        };
        let bytes = self.bytes.slice_with_length(offset, length);
        match decoder.read_record_batch(block, &bytes) {
            Ok(Some(batch)) => Ok(batch),
            Ok(None) => Err(damaged(&self.path, "rows are missing")),
            Err(error) => Err(damaged(&self.path, error)),
        }
    }
}

impl Part for Reader {
    fn read(&self, info: &RowInfo) -> Result<Vec<Vec<u8>>> {
        let block = self.starts.partition_point(|&start| start <= info.row) - 1;
        if block >= self.blocks.len() {
            return Err(damaged(&self.path, "it has fewer rows than it says"));
        }
        guarded(&self.path, || {
            // What is known of rows is in columns before those with their numbers.
            let first = self.schema.fields().len() - Array::stored(&self.meta).len();
            let numbers = (first..self.schema.fields().len()).collect();
            let decoder = self.decoder().with_projection(numbers);
            let batch = self.decode(&decoder, block)?;
            let row = info.row - self.starts[block];
            columns::read_arrays(&self.path, &batch, row, &self.meta)
        })
    }
}

#[allow(unsafe_code)] // A memory map.
fn map(file: &std::fs::File) -> std::io::Result<bytes::Bytes> {
    // SAFETY: parts appear whole and are never written again, only replaced or deleted, which leaves what is mapped as it
    // was.
    unsafe { memmap2::Mmap::map(file) }.map(bytes::Bytes::from_owner)
}
