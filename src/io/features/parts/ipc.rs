//! Arrow IPC files (Feather 2): record batches of 16 MiB or 4096 rows, uncompressed, so that each array is one range of
//! bytes.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::writer::FileWriter;
use arrow_ipc::{Block, root_as_footer};
use arrow_schema::{ArrowError, SchemaRef};

use crate::error::{Error, Result};
use crate::io::features::arrays::FeatureArray;
use crate::io::features::parts::checks::{META_KEY, check_meta, damaged, foreign_part_error};
use crate::io::features::parts::columns::{self, GroupWriter, GroupedPartWriter};
use crate::io::features::parts::file_stat::{FileRangeReader, FileStat};
use crate::io::features::parts::part::PartReader;
use crate::io::features::{DatasetMeta, RowInfo};
use crate::system::files::AtomicFile;

/// The bytes with which a file begins and ends.
const MAGIC: &[u8] = b"ARROW1";

/// Bytes after the footer: its length, and the magic.
const FOOTER_TAIL_BYTES: usize = 10;

/// Writes a part by Arrow's file writer.
pub(super) type ArrowPartWriter = GroupedPartWriter<FileWriter<AtomicFile>>;

impl GroupWriter for FileWriter<AtomicFile> {
    type Error = ArrowError;

    fn begin(file: AtomicFile, schema: &SchemaRef, _: &DatasetMeta) -> Result<Self, ArrowError> {
        FileWriter::try_new(file, schema)
    }

    fn write_group(&mut self, group: &RecordBatch) -> Result<(), ArrowError> {
        self.write(group)
    }

    fn into_file(self) -> Result<AtomicFile, ArrowError> {
        self.into_inner()
    }

    fn write_error(path: &Path, error: ArrowError) -> Error {
        match error {
            ArrowError::IoError(_, error) => Error::io(path, &error),
            error => Error::file(path, error.to_string()),
        }
    }
}

/// Reads arrays by their byte ranges in the file.
pub(super) struct ArrowPartReader {
    range_reader: FileRangeReader,
    /// By row, the byte range of each array.
    rows: Vec<Vec<Range<u64>>>,
}

impl ArrowPartReader {
    pub(super) fn open(
        path: &Path,
        meta: &Arc<DatasetMeta>,
    ) -> Result<(Vec<RowInfo>, Box<dyn PartReader>)> {
        let (file, stat) = FileStat::open(path)?;
        if stat.bytes < (MAGIC.len() + FOOTER_TAIL_BYTES) as u64 {
            return Err(damaged(path, "it is too short"));
        }
        // Only the metadata pages of the mapping are read, not the arrays.
        let bytes = map(&file).map_err(|error| Error::io(path, &error))?;
        let bytes = Buffer::from(bytes);
        if !bytes.starts_with(MAGIC) {
            return Err(foreign_part_error(path));
        }
        let wrong = |error: ArrowError| damaged(path, error);
        let end = bytes.len() - FOOTER_TAIL_BYTES;
        let mut tail = [0; FOOTER_TAIL_BYTES];
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
        let description = schema.metadata().get(META_KEY).map(String::as_str);
        check_meta(path, description, meta)?;
        if schema.fields() != columns::dataset_schema(meta).fields() {
            return Err(foreign_part_error(path));
        }
        let decoder = FileDecoder::new(Arc::new(schema), footer.version());
        let (mut infos, mut rows) = (Vec::new(), Vec::new());
        for block in footer.recordBatches().iter().flatten() {
            let piece = block_bytes(&bytes, block)
                .ok_or_else(|| damaged(path, "it is shorter than it says"))?;
            let batch = decoder.read_record_batch(block, &piece).map_err(wrong)?;
            let batch = batch.ok_or_else(|| damaged(path, "rows are missing"))?;
            columns::read_row_infos(path, &batch, meta, &mut infos)?;
            for row in 0..batch.num_rows() {
                rows.push(ranges(path, &bytes, &batch, row, meta)?);
            }
        }
        let path = path.to_owned();
        let part = ArrowPartReader {
            range_reader: FileRangeReader { path, stat },
            rows,
        };
        Ok((infos, Box::new(part)))
    }
}

/// The bytes of a block: its metadata and body. `None` if it extends beyond the end of the file.
fn block_bytes(bytes: &Buffer, block: &Block) -> Option<Buffer> {
    let start = usize::try_from(block.offset()).ok()?;
    let length = i64::from(block.metaDataLength()).checked_add(block.bodyLength())?;
    let length = usize::try_from(length).ok()?;
    let end = start.checked_add(length)?;
    (end <= bytes.len()).then(|| bytes.slice_with_length(start, length))
}

/// The byte ranges of the arrays of a row of `batch`, whose buffers are slices of `bytes`.
fn ranges(
    path: &Path,
    bytes: &Buffer,
    batch: &RecordBatch,
    row: usize,
    meta: &DatasetMeta,
) -> Result<Vec<Range<u64>>> {
    let start = bytes.as_ptr() as usize;
    let range = |array: FeatureArray| {
        let (at, length) = columns::locate_array(batch, array, row, meta)?;
        let from = at.checked_sub(start)?;
        let to = from.checked_add(length)?;
        (to <= bytes.len()).then_some(from as u64..to as u64)
    };
    let stored = FeatureArray::stored(meta).into_iter();
    stored
        .map(|array| {
            let missing = || damaged(path, format!("a row has no `{}`", array.name()));
            range(array).ok_or_else(missing)
        })
        .collect()
}

impl PartReader for ArrowPartReader {
    fn read(&self, info: &RowInfo) -> Result<Vec<Vec<u8>>> {
        let missing = || damaged(&self.range_reader.path, "a row is missing");
        let ranges = self.rows.get(info.row).ok_or_else(missing)?;
        let read = |range: &Range<u64>| {
            let bytes = usize::try_from(range.end - range.start).map_err(|_| missing())?;
            self.range_reader.read(range.start, bytes)
        };
        ranges.iter().map(read).collect()
    }
}

/// Maps a file into memory.
#[allow(unsafe_code)] // A memory map.
fn map(file: &std::fs::File) -> std::io::Result<bytes::Bytes> {
    // SAFETY: parts appear complete and are never modified, only replaced or deleted, which leaves the mapped file
    // unchanged.
    unsafe { memmap2::Mmap::map(file) }.map(bytes::Bytes::from_owner)
}
