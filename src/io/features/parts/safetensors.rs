//! safetensors: for each photo the tensors `KEY/cls`, `KEY/patches` and so on. `__metadata__` has, under `dino`, the
//! description of the dataset and the metadata of the rows, with the `KEY` of each under `tensors`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::io::features::arrays::{EncodedRow, FeatureArray};
use crate::io::features::parts::checks::{META_KEY, check_meta, damaged, foreign_part_error};
use crate::io::features::parts::file_stat::{FileRangeReader, FileStat};
use crate::io::features::parts::part::{PartFiles, PartReader, PartWriter};
use crate::io::features::parts::row_metadata::{RowMetadata, UniqueNames};
use crate::io::features::{DatasetMeta, Precision, RowInfo};
use crate::model::weights::tensorfile::TensorFile;
use crate::system::files::write_stamped;

/// Alignment in bytes of the tensors' start, so that they can be memory-mapped.
const ALIGNMENT: usize = 8;

/// A row in the header: its metadata, and the prefix of its tensors' names.
#[derive(Serialize, Deserialize)]
#[serde(expecting = "the metadata of a row")]
struct SafetensorsRow {
    tensors: String,
    #[serde(flatten)]
    facts: RowMetadata,
}

/// Holds a part in memory until it is finished, since the header lists all tensors.
pub(super) struct SafetensorsPartWriter {
    path: PathBuf,
    meta: Arc<DatasetMeta>,
    names: UniqueNames,
    rows: Vec<(String, EncodedRow)>,
}

impl SafetensorsPartWriter {
    pub(super) fn begin(path: &Path, meta: &Arc<DatasetMeta>) -> Self {
        SafetensorsPartWriter {
            path: path.to_owned(),
            meta: Arc::clone(meta),
            names: UniqueNames::default(),
            rows: Vec::new(),
        }
    }

    /// The header, padded to [`ALIGNMENT`], and the arrays in the order of their offsets.
    fn header(&self) -> Result<(Vec<u8>, Vec<&[u8]>)> {
        let failed = |why: String| Error::file(&self.path, why);
        let (mut tensors, mut numbers, mut end) = (Vec::new(), Vec::new(), 0);
        let stored = FeatureArray::stored(&self.meta);
        // Wider types first, which keeps all tensors aligned.
        for precision in [Precision::F32, Precision::F16] {
            for (name, row) in &self.rows {
                let arrays = stored.iter().zip(&row.arrays);
                for (array, bytes) in arrays.filter(|(a, _)| a.precision(&self.meta) == precision) {
                    let start = end;
                    end += bytes.len();
                    tensors.push((
                        format!("{name}/{}", array.name()),
                        TensorInfo {
                            dtype: dtype(precision),
                            shape: array.shape(&self.meta, &row.info),
                            data_offsets: (start, end),
                        },
                    ));
                    numbers.push(bytes.as_slice());
                }
            }
        }
        let lines = self.rows.iter().map(|(name, row)| SafetensorsRow {
            tensors: name.clone(),
            facts: RowMetadata::of(&row.info, &self.meta),
        });
        let metadata = json!({"dataset": self.meta.to_json(), "rows": lines.collect::<Vec<_>>()});
        let metadata = HashMap::from([(META_KEY.to_owned(), metadata.to_string())]);
        let header =
            Metadata::new(Some(metadata), tensors).map_err(|why| failed(why.to_string()))?;
        let mut header = serde_json::to_vec(&header).map_err(|why| failed(why.to_string()))?;
        header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
        Ok((header, numbers))
    }
}

impl PartWriter for SafetensorsPartWriter {
    fn push(&mut self, row: EncodedRow) -> Result<()> {
        let name = self.names.make_unique(&row.info.key);
        self.rows.push((name, row));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<PartFiles> {
        let (header, numbers) = self.header()?;
        let stamp = write_stamped(&self.path, |writer| {
            writer.write_all(&(header.len() as u64).to_le_bytes())?;
            writer.write_all(&header)?;
            numbers.iter().try_for_each(|bytes| writer.write_all(bytes))
        })?;
        Ok(vec![(self.path, stamp)])
    }
}

fn dtype(precision: Precision) -> Dtype {
    match precision {
        Precision::F16 => Dtype::F16,
        Precision::F32 => Dtype::F32,
    }
}

/// Reads tensors by their byte ranges.
pub(super) struct SafetensorsPartReader {
    range_reader: FileRangeReader,
    file: TensorFile,
    stored: Vec<FeatureArray>,
    names: Vec<String>,
}

/// The JSON under [`META_KEY`] in `__metadata__`.
#[derive(Deserialize)]
#[serde(expecting = "the metadata of a part")]
struct SafetensorsMetadata {
    dataset: Value,
    rows: Vec<SafetensorsRow>,
}

impl SafetensorsPartReader {
    pub(super) fn open(
        path: &Path,
        meta: &Arc<DatasetMeta>,
    ) -> Result<(Vec<RowInfo>, Box<dyn PartReader>)> {
        let (_, stat) = FileStat::open(path)?;
        let file = TensorFile::open(path)?;
        let metadata = file
            .metadata_value(META_KEY)
            .ok_or_else(|| foreign_part_error(path))?;
        let metadata: SafetensorsMetadata =
            serde_json::from_str(metadata).map_err(|why| damaged(path, why))?;
        check_meta(path, Some(&metadata.dataset.to_string()), meta)?;
        let stored = FeatureArray::stored(meta);
        let (mut rows, mut names) = (Vec::new(), Vec::new());
        for line in metadata.rows {
            let info = line.facts.into_row_info(path, meta, rows.len())?;
            for array in &stored {
                let name = format!("{}/{}", line.tensors, array.name());
                let is_there = file.info(&name).is_some_and(|tensor| {
                    tensor.shape == array.shape(meta, &info)
                        && tensor.dtype == dtype(array.precision(meta))
                });
                if !is_there {
                    let why = format!("it has no tensor `{name}`, or one of another shape or type");
                    return Err(damaged(path, why));
                }
            }
            rows.push(info);
            names.push(line.tensors);
        }
        let path = path.to_owned();
        let part = SafetensorsPartReader {
            range_reader: FileRangeReader { path, stat },
            file,
            stored,
            names,
        };
        Ok((rows, Box::new(part)))
    }
}

impl PartReader for SafetensorsPartReader {
    fn read(&self, info: &RowInfo) -> Result<Vec<Vec<u8>>> {
        let missing = || damaged(&self.range_reader.path, "a row has no tensors");
        let name = self.names.get(info.row).ok_or_else(missing)?;
        let read = |array: &FeatureArray| {
            let tensor = self.file.range(&format!("{name}/{}", array.name()));
            let range = tensor.ok_or_else(missing)?;
            let bytes = usize::try_from(range.end - range.start).map_err(|_| missing())?;
            self.range_reader.read(range.start, bytes)
        };
        self.stored.iter().map(read).collect()
    }
}
