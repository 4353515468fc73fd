//! The files of a dataset: how each format writes and reads a part.

mod columns;
mod ipc;
mod npy;
mod npy_header;
mod parquet;
mod row_metadata;
mod safetensors;
mod tar;

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::io::features::arrays::EncodedRow;
use crate::io::features::folder::DatasetFolder;
use crate::io::features::{DatasetFormat, DatasetMeta, RowInfo};
use crate::system::files::FileStamp;

/// The key under which files have the [`DatasetMeta`].
const META_KEY: &str = "dino";

/// The files of a part, with the stamps of those that were written.
pub(super) type PartFiles = Vec<(PathBuf, Option<FileStamp>)>;

/// A part that is written.
pub(super) trait PartWriter: Send {
    /// Adds a row.
    ///
    /// # Errors
    /// Names the file that cannot be written; the part is lost then.
    fn push(&mut self, row: EncodedRow) -> Result<()>;

    /// Puts the part in its place. Returns its files, with the stamps of those that were written.
    ///
    /// # Errors
    /// Names the file that cannot be written; what was there before is there still.
    fn finish(self: Box<Self>) -> Result<PartFiles>;
}

/// A part that is read.
pub(super) trait PartReader: Send + Sync {
    /// The bytes of a row's arrays, in the order of [`Array::stored`](super::array_paths::Array::stored).
    ///
    /// # Errors
    /// Names the file that cannot be read, is damaged, or was replaced since it was opened.
    fn read(&self, info: &RowInfo) -> Result<Vec<Vec<u8>>>;

    /// Whether the part can be continued: nothing in its files is of rows that it has no more.
    fn is_compact(&self) -> bool {
        true
    }
}

/// Begins the part at `path`, which appears when it is finished.
///
/// # Errors
/// Names the path that cannot be written.
pub(super) fn begin(
    format: DatasetFormat,
    path: &Path,
    meta: &Arc<DatasetMeta>,
) -> Result<Box<dyn PartWriter>> {
    Ok(match format {
        DatasetFormat::Parquet => Box::new(parquet::ParquetPartWriter::begin(path, meta)?),
        DatasetFormat::Arrow => Box::new(ipc::ArrowPartWriter::begin(path, meta)?),
        DatasetFormat::Safetensors => {
            Box::new(safetensors::SafetensorsPartWriter::begin(path, meta))
        }
        DatasetFormat::Npy => Box::new(npy::NpyPartWriter::begin(path, meta)),
        DatasetFormat::Tar => Box::new(tar::TarPartWriter::begin(path, meta)?),
    })
}

/// Opens the part at `path` of the dataset of `meta`; with what is known of its rows.
///
/// # Errors
/// Names the file that cannot be read, is damaged, or is of another dataset or none.
pub(super) fn open(
    format: DatasetFormat,
    path: &Path,
    meta: &Arc<DatasetMeta>,
) -> Result<(Vec<RowInfo>, Box<dyn PartReader>)> {
    catch_panics(path, || match format {
        DatasetFormat::Parquet => parquet::ParquetPartReader::open(path, meta),
        DatasetFormat::Arrow => ipc::ArrowPartReader::open(path, meta),
        DatasetFormat::Safetensors => safetensors::SafetensorsPartReader::open(path, meta),
        DatasetFormat::Npy => npy::NpyPartReader::open(path, meta),
        DatasetFormat::Tar => tar::TarPartReader::open(path, meta),
    })
}

/// Rewrites the part at `path` with the rows that are kept of it, or removes it if there are none.
///
/// # Errors
/// Names the file that cannot be read or written.
pub(super) fn rewrite_part(
    format: DatasetFormat,
    path: &Path,
    meta: &Arc<DatasetMeta>,
    kept: &[&RowInfo],
) -> Result<PartFiles> {
    if kept.is_empty() {
        return remove(format, path).map(|()| Vec::new());
    }
    if format == DatasetFormat::Npy {
        return npy::rewrite_table(path, meta, kept);
    }
    let (_, part) = open(format, path, meta)?;
    let mut writer = begin(format, path, meta)?;
    for info in kept {
        let arrays = part.read(info)?;
        let info = RowInfo::clone(info);
        writer.push(EncodedRow { info, arrays })?;
    }
    writer.finish()
}

/// Removes the part at `path`.
///
/// # Errors
/// Names the file that cannot be removed.
pub(super) fn remove(format: DatasetFormat, path: &Path) -> Result<()> {
    let delete = |path: &Path| match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path, &error)),
        _ => Ok(()),
    };
    // First what makes it be there.
    delete(path)?;
    match format {
        DatasetFormat::Npy => npy::array_paths(path).try_for_each(|path| delete(&path)),
        _ => Ok(()),
    }
}

/// Removes what killed programs left of parts of a prefix.
///
/// # Errors
/// Names the folder or file.
pub(super) fn sweep(folder: &DatasetFolder, prefix: &str) -> Result<()> {
    match folder.format {
        DatasetFormat::Npy => npy::sweep(&folder.path, prefix),
        _ => Ok(()),
    }
}

/// Refuses rows that the format cannot hold.
///
/// # Errors
/// Names the photo.
pub(super) fn check_row_fits(format: DatasetFormat, row: &EncodedRow) -> Result<()> {
    match format {
        DatasetFormat::Parquet | DatasetFormat::Arrow => columns::check_value_sizes(row),
        DatasetFormat::Safetensors | DatasetFormat::Npy | DatasetFormat::Tar => Ok(()),
    }
}

/// Libraries panic at some damages.
fn catch_panics<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(damaged(path, "what it says of itself is wrong")))
}

/// The error of a part that is not as it was written.
fn damaged(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::file(
        path,
        format!("is damaged ({why}); delete it, and make the features that were in it again"),
    )
}

/// The error of a file that is in the way.
fn foreign(path: &Path) -> Error {
    Error::file(
        path,
        "is no part of a dataset that dino wrote; move it elsewhere",
    )
}

/// Compares what a part says of its dataset to what is known.
fn check_meta(path: &Path, text: Option<&str>, meta: &DatasetMeta) -> Result<()> {
    let text = text.ok_or_else(|| foreign(path))?;
    let own = DatasetMeta::parse(text).map_err(|why| Error::file(path, why))?;
    match own.difference(meta) {
        None => Ok(()),
        Some(why) => Err(Error::file(
            path,
            format!("is a part of another dataset, which {why}; move it elsewhere"),
        )),
    }
}

/// The error of rows that bear another dataset's mark.
fn check_dataset_id(path: &Path, mark: &str, meta: &DatasetMeta) -> Result<()> {
    match mark == meta.dataset_id() {
        true => Ok(()),
        false => Err(Error::file(
            path,
            "has rows of another dataset; move it elsewhere",
        )),
    }
}

/// What tells whether a file was replaced since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileStat {
    bytes: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: u64,
}

impl FileStat {
    fn of(met: &Metadata) -> Self {
        FileStat {
            bytes: met.len(),
            modified: met.modified().ok(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(met),
        }
    }

    /// What is at `path`, if anything is.
    pub(super) fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|met| Self::of(&met))
    }

    /// Opens `path`; with what it is now.
    fn open(path: &Path) -> Result<(File, Self)> {
        let opened = File::open(path).and_then(|file| {
            let seen = Self::of(&file.metadata()?);
            Ok((file, seen))
        });
        opened.map_err(|error| Error::io(path, &error))
    }

    /// Opens `path`, which is to be what was seen.
    fn reopen(&self, path: &Path) -> Result<File> {
        let (file, seen) = Self::open(path)?;
        match seen == *self {
            true => Ok(file),
            false => Err(Error::file(
                path,
                "was replaced while it was read; begin again",
            )),
        }
    }
}

/// A file of which pieces are read; it is open only while they are.
#[derive(Debug)]
struct FileRangeReader {
    path: PathBuf,
    stat: FileStat,
}

impl FileRangeReader {
    fn read(&self, start: u64, bytes: usize) -> Result<Vec<u8>> {
        let failed = |error| Error::io(&self.path, &error);
        let mut file = self.stat.reopen(&self.path)?;
        if start.saturating_add(bytes as u64) > self.stat.bytes {
            return Err(damaged(&self.path, "it is shorter than it says"));
        }
        let mut read = vec![0; bytes];
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        file.read_exact(&mut read).map_err(failed)?;
        Ok(read)
    }
}
