//! Safetensors: for each photo the tensors `KEY/cls`, `KEY/patches` and so on. `__metadata__` has, under `dino`, what is
//! known of the dataset and the rows, with the `KEY` of each under `tensors`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::io::features::arrays::{Array, Encoded};
use crate::io::features::parts::facts::{Facts, Names};
use crate::io::features::parts::{
    Files, META_KEY, Part, PartWriter, Pieces, Seen, check_meta, damaged, foreign,
};
use crate::io::features::{DatasetMeta, Precision, RowInfo};
use crate::model::weights::tensorfile::TensorFile;
use crate::system::files::write_stamped;

/// What numbers begin at multiples of, so that they can be mapped.
const ALIGNMENT: usize = 8;

#[derive(Serialize, Deserialize)]
struct Line {
    tensors: String,
    #[serde(flatten)]
    facts: Facts,
}

/// The header tells of all that follows: a part is in memory until it is finished.
pub(super) struct Writer {
    path: PathBuf,
    meta: Arc<DatasetMeta>,
    names: Names,
    rows: Vec<(String, Encoded)>,
}

impl Writer {
    pub(super) fn begin(path: &Path, meta: &Arc<DatasetMeta>) -> Self {
        Writer {
            path: path.to_owned(),
            meta: Arc::clone(meta),
            names: Names::default(),
            rows: Vec::new(),
        }
    }

    /// The header, and the arrays in the order in which they follow it.
    fn header(&self) -> Result<(Vec<u8>, Vec<&[u8]>)> {
        let failed = |why: String| Error::file(&self.path, why);
        let (mut tensors, mut numbers, mut end) = (Vec::new(), Vec::new(), 0);
        let stored = Array::stored(&self.meta);
        // Wider numbers first, which keeps all of them aligned.
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
        let lines = self.rows.iter().map(|(name, row)| Line {
            tensors: name.clone(),
            facts: Facts::of(&row.info, &self.meta),
        });
        let said = json!({"dataset": self.meta.to_json(), "rows": lines.collect::<Vec<_>>()});
        let said = HashMap::from([(META_KEY.to_owned(), said.to_string())]);
        let header = Metadata::new(Some(said), tensors).map_err(|why| failed(why.to_string()))?;
        let mut header = serde_json::to_vec(&header).map_err(|why| failed(why.to_string()))?;
        header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
        Ok((header, numbers))
    }
}

impl PartWriter for Writer {
    fn push(&mut self, row: Encoded) -> Result<()> {
        let name = self.names.give(&row.info.key);
        self.rows.push((name, row));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Files> {
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

pub(super) struct Reader {
    pieces: Pieces,
    file: TensorFile,
    stored: Vec<Array>,
    names: Vec<String>,
}

#[derive(Deserialize)]
struct Said {
    dataset: Value,
    rows: Vec<Line>,
}

impl Reader {
    pub(super) fn open(
        path: &Path,
        meta: &Arc<DatasetMeta>,
    ) -> Result<(Vec<RowInfo>, Box<dyn Part>)> {
        let (_, seen) = Seen::open(path)?;
        let file = TensorFile::open(path)?;
        let said = file.note(META_KEY).ok_or_else(|| foreign(path))?;
        let said: Said = serde_json::from_str(said).map_err(|why| damaged(path, why))?;
        check_meta(path, Some(&said.dataset.to_string()), meta)?;
        let stored = Array::stored(meta);
        let (mut rows, mut names) = (Vec::new(), Vec::new());
        for line in said.rows {
            let info = line.facts.info(path, meta, rows.len())?;
            for array in &stored {
                let name = format!("{}/{}", line.tensors, array.name());
                let is_there = file.info(&name).is_some_and(|found| {
                    found.shape == array.shape(meta, &info)
                        && found.dtype == dtype(array.precision(meta))
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
        let part = Reader {
            pieces: Pieces { path, seen },
            file,
            stored,
            names,
        };
        Ok((rows, Box::new(part)))
    }
}

impl Part for Reader {
    fn read(&self, info: &RowInfo) -> Result<Vec<Vec<u8>>> {
        let missing = || damaged(&self.pieces.path, "a row has no tensors");
        let name = self.names.get(info.row).ok_or_else(missing)?;
        let read = |array: &Array| {
            let found = self.file.range(&format!("{name}/{}", array.name()));
            let range = found.ok_or_else(missing)?;
            let bytes = usize::try_from(range.end - range.start).map_err(|_| missing())?;
            self.pieces.read(range.start, bytes)
        };
        self.stored.iter().map(read).collect()
    }
}
