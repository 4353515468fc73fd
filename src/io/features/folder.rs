//! The folder of a dataset: its description `_dataset.json`, and its part files.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::io::features::part_name::{parse_part_name, part_file_name};
use crate::io::features::parts::{self, FileStat};
use crate::io::features::{DatasetFormat, DatasetMeta, RowInfo};
use crate::system::files::write_atomic;

/// The file with the [`DatasetMeta`]. Readers of folders of Parquet skip names that begin with an underscore.
pub(super) const META_FILE: &str = "_dataset.json";

/// The folder of a dataset, and the format of its parts.
#[derive(Debug, Clone)]
pub(super) struct DatasetFolder {
    pub(super) path: PathBuf,
    pub(super) format: DatasetFormat,
}

/// A part on disk.
#[derive(Debug, Clone)]
pub(super) struct PartInfo {
    /// Its file; for NumPy arrays, the table.
    pub(super) path: PathBuf,
    /// Size, time and inode of that file when it was opened; `None` if it was missing.
    pub(super) stat: Option<FileStat>,
    /// Whether rows can be appended to it, see [`PartReader::is_compact`](parts::PartReader::is_compact).
    pub(super) is_compact: bool,
}

impl DatasetFolder {
    /// Reads the description; `None` if the file is missing.
    ///
    /// # Errors
    /// Names the file if it cannot be read, or is not a description of a supported version.
    pub(super) fn read_meta(&self) -> Result<Option<DatasetMeta>> {
        let path = self.path.join(META_FILE);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path, &error)),
            Ok(text) => DatasetMeta::parse(&text)
                .map(Some)
                .map_err(|why| Error::file(&path, why)),
        }
    }

    /// Writes the description.
    ///
    /// # Errors
    /// Names the file if it cannot be written.
    pub(super) fn write_meta(&self, meta: &DatasetMeta) -> Result<()> {
        write_atomic(&self.path.join(META_FILE), |writer| {
            writeln!(writer, "{:#}", meta.to_json())
        })
    }

    /// The path of the part `number` of `prefix`.
    pub(super) fn part_path(&self, prefix: &str, number: usize) -> PathBuf {
        self.path
            .join(part_file_name(prefix, number, self.format.part_extension()))
    }

    /// The files of all parts, sorted by prefix and number.
    ///
    /// # Errors
    /// Names the folder that cannot be read.
    pub(super) fn part_files(&self) -> Result<Vec<PathBuf>> {
        let failed = |error| Error::io(&self.path, &error);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_part = path
                .extension()
                .is_some_and(|ending| ending == self.format.part_extension());
            // As readers of Parquet do; unfinished files begin with a dot.
            if is_part && !name.starts_with(['.', '_']) && path.is_file() {
                files.push(path);
            }
        }
        files.sort_by_cached_key(|path| match parse_part_name(path) {
            Some((prefix, number)) => (prefix, number, path.clone()),
            None => (path.to_string_lossy().into_owned(), 0, path.clone()),
        });
        Ok(files)
    }

    /// Opens all parts, and reads the metadata of their rows.
    ///
    /// # Errors
    /// Names a file that cannot be read, is damaged, or is of another dataset or none.
    pub(super) fn open_parts(
        &self,
        meta: &Arc<DatasetMeta>,
    ) -> Result<(Vec<PartInfo>, Vec<RowInfo>)> {
        let opened = self.part_files()?.into_par_iter().map(|path| {
            // Before the file is opened, so that a concurrent replacement is noticed.
            let stat = FileStat::at(&path);
            let (rows, part) = parts::open(self.format, &path, meta)?;
            let is_compact = part.is_compact();
            let found = PartInfo {
                path,
                stat,
                is_compact,
            };
            Ok((found, rows))
        });
        let opened: Vec<(PartInfo, Vec<RowInfo>)> = opened.collect::<Result<_>>()?;
        let (mut found, mut all) = (Vec::new(), Vec::new());
        for (index, (part, rows)) in opened.into_iter().enumerate() {
            found.push(part);
            all.extend(rows.into_iter().map(|row| RowInfo { part: index, ..row }));
        }
        Ok((found, all))
    }
}

/// Fails if a photo occurs twice in a dataset with different contents.
///
/// # Errors
/// Names the photo and the files.
pub(super) fn check_unique(found: &[PartInfo], rows: &[RowInfo]) -> Result<()> {
    let mut first: HashMap<_, &RowInfo> = HashMap::with_capacity(rows.len());
    for row in rows {
        match first.get(&row.name) {
            Some(other) if other.digest != row.digest => {
                return Err(Error::file(
                    &row.name.path,
                    format!(
                        "has features of two states of the photo, in {} and {}; make its features again",
                        found[other.part].path.display(),
                        found[row.part].path.display()
                    ),
                ));
            }
            Some(_) => {}
            None => {
                first.insert(&row.name, row);
            }
        }
    }
    Ok(())
}
