//! [`Dataset`]: reads a dataset of stored features.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, fs};

use crate::error::{Error, Result};
use crate::io::features::arrays::{EncodedRow, FeatureArray};
use crate::io::features::folder::{DatasetFolder, META_FILE, PartInfo, check_unique};
use crate::io::features::parts::{self, FileStat, PartReader};
use crate::io::features::{DatasetFormat, DatasetMeta, FeatureRow, RowInfo};

/// Maximum number of cached part readers, which hold no open files.
const MAX_OPEN_PARTS: usize = 4;

/// A dataset that is opened for reading.
///
/// All [`RowInfo`]s are in memory, about 500 bytes each; arrays are read on demand, and at most a few row groups of 16
/// MiB are cached. Threads may share it.
pub struct Dataset {
    folder: DatasetFolder,
    meta: Arc<DatasetMeta>,
    parts: Vec<PartInfo>,
    rows: Vec<RowInfo>,
    open_parts: Mutex<VecDeque<(usize, Arc<dyn PartReader>)>>,
}

impl Dataset {
    /// Opens the dataset in `folder`.
    ///
    /// # Errors
    /// Names the folder if it is missing, or not that of a dataset; and the file in it that cannot be read, was written
    /// by a newer dino, is damaged, or belongs to another dataset.
    pub fn open(folder: &Path) -> Result<Dataset> {
        match fs::metadata(folder) {
            Err(error) => return Err(Error::io(folder, &error)),
            Ok(met) if !met.is_dir() => {
                return Err(Error::file(
                    folder,
                    "is a file, where the folder of a dataset is meant",
                ));
            }
            Ok(_) => {}
        }
        let folder = detect_folder(folder)?;
        let meta = folder.read_meta()?.ok_or_else(|| {
            Error::file(
                &folder.path,
                format!("is no dataset that `dino features` wrote: it has no {META_FILE}"),
            )
        })?;
        let meta = Arc::new(meta);
        let (parts, rows) = folder.open_parts(&meta)?;
        check_unique(&parts, &rows)?;
        Ok(Dataset {
            folder,
            meta,
            parts,
            rows,
            open_parts: Mutex::default(),
        })
    }

    /// Whether `folder` has the description of a dataset.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(META_FILE).is_file()
    }

    /// The description that all rows share.
    pub fn meta(&self) -> &DatasetMeta {
        &self.meta
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// The format of its parts.
    pub fn format(&self) -> DatasetFormat {
        self.folder.format
    }

    /// The file of the part of this index; for NumPy arrays, the table beside them.
    pub fn part_path(&self, part: usize) -> Option<&Path> {
        self.parts.get(part).map(|found| found.path.as_path())
    }

    /// The files of all parts, see [`Dataset::part_path`].
    pub fn part_paths(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().map(|found| found.path.as_path())
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows without their arrays, in the order of parts, then rows. A photo may occur twice if its content is the
    /// same.
    pub fn rows(&self) -> &[RowInfo] {
        &self.rows
    }

    /// Reads the row at `index` of [`Dataset::rows`]. Reading consecutive rows is fastest.
    ///
    /// # Errors
    /// Names the part that cannot be read, is damaged, or was replaced since the dataset was opened.
    pub fn read(&self, index: usize) -> Result<FeatureRow> {
        let Some(info) = self.rows.get(index) else {
            return Err(Error::file(
                self.folder(),
                format!("has {} rows, and no row {index}", self.len()),
            ));
        };
        let arrays = self.open_part(info.part)?.read(info)?;
        for (array, bytes) in FeatureArray::stored(&self.meta).into_iter().zip(&arrays) {
            let expected = array.size_in_bytes(&self.meta, info);
            if bytes.len() != expected {
                return Err(Error::file(
                    &self.parts[info.part].path,
                    format!(
                        "is damaged: `{}` of {} has {} bytes, where {expected} were expected",
                        array.name(),
                        info.name.path,
                        bytes.len()
                    ),
                ));
            }
        }
        let info = info.clone();
        Ok(EncodedRow { info, arrays }.decode(&self.meta))
    }

    fn open_part(&self, part: usize) -> Result<Arc<dyn PartReader>> {
        let lock = || {
            self.open_parts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        {
            let mut open = lock();
            let found = open.iter().position(|(index, _)| *index == part);
            if let Some(kept) = found.and_then(|at| open.remove(at)) {
                let part = Arc::clone(&kept.1);
                open.push_back(kept);
                return Ok(part);
            }
        }
        let found = &self.parts[part];
        let (_, opened) = parts::open(self.folder.format, &found.path, &self.meta)?;
        if FileStat::at(&found.path) != found.stat {
            return Err(Error::file(
                &found.path,
                "was replaced while the dataset was read; begin again",
            ));
        }
        let opened: Arc<dyn PartReader> = opened.into();
        let mut open = lock();
        open.push_back((part, Arc::clone(&opened)));
        if open.len() > MAX_OPEN_PARTS {
            open.pop_front();
        }
        Ok(opened)
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("folder", &self.folder.path)
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

/// The folder with its format: by its extension or, if it was renamed, by its parts.
fn detect_folder(path: &Path) -> Result<DatasetFolder> {
    let with = |format| DatasetFolder {
        path: path.to_owned(),
        format,
    };
    let mut present = Vec::new();
    for format in DatasetFormat::ALL {
        if !with(format).part_files()?.is_empty() {
            present.push(format);
        }
    }
    match (DatasetFormat::from_path(path), present.as_slice()) {
        (Some(format), []) => Ok(with(format)),
        (Some(format), present) if present.contains(&format) => Ok(with(format)),
        (None, [format]) => Ok(with(*format)),
        (Some(format), [other, ..]) => Err(Error::file(
            path,
            format!(
                "has parts that end in .{}, where its own name ends in .{}; rename it",
                other.part_extension(),
                format.extension()
            ),
        )),
        (None, _) => Err(Error::file(
            path,
            format!(
                "is no dataset of features: its name ends neither in {}",
                DatasetFormat::ENDINGS
            ),
        )),
    }
}
