//! The files of a dataset: how each format writes and reads a part.

mod columns;
mod facts;
mod ipc;
mod npy;
mod numpy;
mod parquet;
mod safetensors;
mod tar;

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::io::features::arrays::Encoded;
use crate::io::features::folder::Folder;
use crate::io::features::{DatasetMeta, Format, RowInfo};
use crate::system::files::Stamp;

/// The key under which files have the [`DatasetMeta`].
const META_KEY: &str = "dino";

/// The files of a part, with the stamps of those that were written.
pub(super) type Files = Vec<(PathBuf, Option<Stamp>)>;

/// A part that is written.
pub(super) trait PartWriter: Send {
    /// Adds a row.
    ///
    /// # Errors
    /// Names the file that cannot be written; the part is lost then.
    fn push(&mut self, row: Encoded) -> Result<()>;

    /// Puts the part in its place. Returns its files, with the stamps of those that were written.
    ///
    /// # Errors
    /// Names the file that cannot be written; what was there before is there still.
    fn finish(self: Box<Self>) -> Result<Files>;
}

/// A part that is read.
pub(super) trait Part: Send + Sync {
    /// The bytes of a row's arrays, in the order of [`Array::stored`](super::arrays::Array::stored).
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
    format: Format,
    path: &Path,
    meta: &Arc<DatasetMeta>,
) -> Result<Box<dyn PartWriter>> {
    Ok(match format {
        Format::Parquet => Box::new(parquet::Writer::begin(path, meta)?),
        Format::Arrow => Box::new(ipc::Writer::begin(path, meta)?),
        Format::Safetensors => Box::new(safetensors::Writer::begin(path, meta)),
        Format::Npy => Box::new(npy::Writer::begin(path, meta)),
        Format::Tar => Box::new(tar::Writer::begin(path, meta)?),
    })
}

/// Opens the part at `path` of the dataset of `meta`; with what is known of its rows.
///
/// # Errors
/// Names the file that cannot be read, is damaged, or is of another dataset or none.
pub(super) fn open(
    format: Format,
    path: &Path,
    meta: &Arc<DatasetMeta>,
) -> Result<(Vec<RowInfo>, Box<dyn Part>)> {
    guarded(path, || match format {
        Format::Parquet => parquet::Reader::open(path, meta),
        Format::Arrow => ipc::Reader::open(path, meta),
        Format::Safetensors => safetensors::Reader::open(path, meta),
        Format::Npy => npy::Reader::open(path, meta),
        Format::Tar => tar::Reader::open(path, meta),
    })
}

/// Rewrites the part at `path` with the rows that are kept of it, or removes it if there are none.
///
/// # Errors
/// Names the file that cannot be read or written.
pub(super) fn keep(
    format: Format,
    path: &Path,
    meta: &Arc<DatasetMeta>,
    kept: &[&RowInfo],
) -> Result<Files> {
    if kept.is_empty() {
        return remove(format, path).map(|()| Vec::new());
    }
    if format == Format::Npy {
        return npy::keep(path, meta, kept);
    }
    let (_, part) = open(format, path, meta)?;
    let mut writer = begin(format, path, meta)?;
    for info in kept {
        let arrays = part.read(info)?;
        let info = RowInfo::clone(info);
        writer.push(Encoded { info, arrays })?;
    }
    writer.finish()
}

/// Removes the part at `path`.
///
/// # Errors
/// Names the file that cannot be removed.
pub(super) fn remove(format: Format, path: &Path) -> Result<()> {
    let delete = |path: &Path| match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path, &error)),
        _ => Ok(()),
    };
    // First what makes it be there.
    delete(path)?;
    match format {
        Format::Npy => npy::arrays(path).try_for_each(|path| delete(&path)),
        _ => Ok(()),
    }
}

/// Removes what killed programs left of parts of a prefix.
///
/// # Errors
/// Names the folder or file.
pub(super) fn sweep(folder: &Folder, prefix: &str) -> Result<()> {
    match folder.format {
        Format::Npy => npy::sweep(&folder.path, prefix),
        _ => Ok(()),
    }
}

/// Refuses rows that the format cannot hold.
///
/// # Errors
/// Names the photo.
pub(super) fn check(format: Format, row: &Encoded) -> Result<()> {
    match format {
        Format::Parquet | Format::Arrow => columns::check(row),
        Format::Safetensors | Format::Npy | Format::Tar => Ok(()),
    }
}

/// Libraries panic at some damages.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
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
fn check_mark(path: &Path, mark: &str, meta: &DatasetMeta) -> Result<()> {
    match mark == meta.mark() {
        true => Ok(()),
        false => Err(Error::file(
            path,
            "has rows of another dataset; move it elsewhere",
        )),
    }
}

/// What tells whether a file was replaced since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    bytes: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: u64,
}

impl Seen {
    fn of(met: &Metadata) -> Self {
        Seen {
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
struct Pieces {
    path: PathBuf,
    seen: Seen,
}

impl Pieces {
    fn read(&self, start: u64, bytes: usize) -> Result<Vec<u8>> {
        let failed = |error| Error::io(&self.path, &error);
        let mut file = self.seen.reopen(&self.path)?;
        if start.saturating_add(bytes as u64) > self.seen.bytes {
            return Err(damaged(&self.path, "it is shorter than it says"));
        }
        let mut read = vec![0; bytes];
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        file.read_exact(&mut read).map_err(failed)?;
        Ok(read)
    }
}
