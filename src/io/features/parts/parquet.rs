//! Parquet: row groups of 16 MiB or 4096 rows, uncompressed, features without dictionaries.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::error::{Error, Result};
use crate::io::features::arrays::FeatureArray;
use crate::io::features::parts::checks::{
    META_KEY, catch_panics, check_meta, damaged, foreign_part_error,
};
use crate::io::features::parts::columns::{self, GroupWriter, GroupedPartWriter};
use crate::io::features::parts::file_stat::FileStat;
use crate::io::features::parts::part::PartReader;
use crate::io::features::{DatasetMeta, RowInfo};
use crate::system::files::AtomicFile;

/// `created_by` of every file, in the form that the format prescribes.
const CREATED_BY: &str = concat!("dino version ", env!("CARGO_PKG_VERSION"));

/// Maximum number of cached decoded row groups.
const CACHED_ROW_GROUPS: usize = 2;

/// Writes a part by the `parquet` crate's Arrow writer.
pub(super) type ParquetPartWriter = GroupedPartWriter<ArrowWriter<AtomicFile>>;

impl GroupWriter for ArrowWriter<AtomicFile> {
    type Error = ParquetError;

    fn begin(
        file: AtomicFile,
        schema: &SchemaRef,
        meta: &DatasetMeta,
    ) -> Result<Self, ParquetError> {
        // Arrow takes the description from the schema, other readers from the key-value metadata.
        ArrowWriter::try_new(file, Arc::clone(schema), Some(properties(meta)))
    }

    fn write_group(&mut self, group: &RecordBatch) -> Result<(), ParquetError> {
        self.write(group).and_then(|()| self.flush())
    }

    fn into_file(self) -> Result<AtomicFile, ParquetError> {
        self.into_inner()
    }

    fn write_error(path: &Path, error: ParquetError) -> Error {
        match error {
            ParquetError::External(error) => match error.downcast::<std::io::Error>() {
                Ok(error) => Error::io(path, &error),
                Err(error) => Error::file(path, error.to_string()),
            },
            error => Error::file(path, error.to_string()),
        }
    }
}

/// Writer options: uncompressed; no dictionaries or statistics for the feature columns.
fn properties(meta: &DatasetMeta) -> WriterProperties {
    let description = KeyValue::new(META_KEY.to_owned(), meta.to_json().to_string());
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.into())
        .set_compression(Compression::UNCOMPRESSED)
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(vec![description]));
    for array in FeatureArray::stored(meta) {
        let mut path = vec![array.name().to_owned()];
        if columns::is_vector(array) {
            path.extend(["list".to_owned(), "element".to_owned()]);
        }
        let path = ColumnPath::new(path);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    properties.build()
}

/// Row groups by index, decoded or being decoded; the most recently used is last.
type RowGroupCache = VecDeque<(usize, Arc<OnceLock<RecordBatch>>)>;

/// Decodes row groups, and caches the two most recently used.
pub(super) struct ParquetPartReader {
    path: PathBuf,
    stat: FileStat,
    meta: Arc<DatasetMeta>,
    metadata: ArrowReaderMetadata,
    /// Index of the first row of each row group, followed by the total number of rows.
    starts: Vec<usize>,
    cache: Mutex<RowGroupCache>,
}

impl ParquetPartReader {
    pub(super) fn open(
        path: &Path,
        meta: &Arc<DatasetMeta>,
    ) -> Result<(Vec<RowInfo>, Box<dyn PartReader>)> {
        let (file, stat) = FileStat::open(path)?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
            .map_err(|error| read_error(path, error))?;
        let description = metadata.metadata().file_metadata().key_value_metadata();
        let description =
            description.and_then(|description| description.iter().find(|kv| kv.key == META_KEY));
        check_meta(path, description.and_then(|kv| kv.value.as_deref()), meta)?;
        if metadata.schema().fields() != columns::dataset_schema(meta).fields() {
            return Err(foreign_part_error(path));
        }
        let mut starts = vec![0];
        for group in metadata.metadata().row_groups() {
            let rows = usize::try_from(group.num_rows()).unwrap_or(0);
            starts.push(starts[starts.len() - 1] + rows);
        }
        let mut rows = Vec::new();
        let mask =
            ProjectionMask::columns(metadata.parquet_schema(), columns::metadata_columns(meta));
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
            .with_projection(mask)
            .build()
            .map_err(|error| read_error(path, error))?;
        for batch in reader {
            let batch = batch.map_err(|error| read_error(path, error.into()))?;
            columns::read_row_infos(path, &batch, meta, &mut rows)?;
        }
        let part = ParquetPartReader {
            path: path.to_owned(),
            stat,
            meta: Arc::clone(meta),
            metadata,
            starts,
            cache: Mutex::default(),
        };
        Ok((rows, Box::new(part)))
    }

    /// A row group from the cache, or decoded. The lock is not held while decoding.
    fn row_group(&self, group: usize) -> Result<RecordBatch> {
        let slot = {
            let mut kept = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            let found = kept.iter().position(|(index, _)| *index == group);
            let slot = found
                .and_then(|at| kept.remove(at))
                .unwrap_or_else(|| (group, Arc::default()));
            kept.push_back(slot.clone());
            if kept.len() > CACHED_ROW_GROUPS {
                kept.pop_front();
            }
            slot.1
        };
        if let Some(batch) = slot.get() {
            return Ok(batch.clone());
        }
        let batch = self.decode_row_group(self.stat.reopen(&self.path)?, group)?;
        Ok(slot.get_or_init(|| batch).clone())
    }

    fn decode_row_group(&self, file: File, group: usize) -> Result<RecordBatch> {
        let rows = self.starts[group + 1] - self.starts[group];
        let stored = FeatureArray::stored(&self.meta);
        let names = stored.into_iter().map(FeatureArray::name);
        let mask = ProjectionMask::columns(self.metadata.parquet_schema(), names);
        let mut reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_row_groups(vec![group])
                .with_projection(mask)
                .with_batch_size(rows)
                .build()
                .map_err(|error| read_error(&self.path, error))?;
        match reader.next() {
            Some(Ok(batch)) if batch.num_rows() == rows => Ok(batch),
            Some(Err(error)) => Err(read_error(&self.path, error.into())),
            _ => Err(damaged(&self.path, "it has fewer rows than it says")),
        }
    }
}

impl PartReader for ParquetPartReader {
    fn read(&self, info: &RowInfo) -> Result<Vec<Vec<u8>>> {
        let group = self.starts.partition_point(|&start| start <= info.row) - 1;
        if group + 1 >= self.starts.len() {
            return Err(damaged(&self.path, "it has fewer rows than it says"));
        }
        catch_panics(&self.path, || {
            let batch = self.row_group(group)?;
            let row = info.row - self.starts[group];
            columns::read_arrays(&self.path, &batch, row, &self.meta)
        })
    }
}

/// Distinguishes I/O errors from damage.
fn read_error(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => Error::io(path, &error),
            Err(error) => match error.downcast::<ArrowError>() {
                Ok(error) => damaged(path, error),
                Err(error) => damaged(path, error),
            },
        },
        error => damaged(path, error),
    }
}
