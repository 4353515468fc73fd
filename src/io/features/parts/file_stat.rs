//! Detection of a replaced part file, and reads of byte ranges from it.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::checks::damaged;
use crate::error::{Error, Result};

/// Size, modification time and inode of a file, to detect that it was replaced. Unlike
/// [`FileStamp`](crate::system::files::FileStamp), it has no digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::io::features) struct FileStat {
    pub(super) bytes: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: u64,
}

impl FileStat {
    fn of(metadata: &Metadata) -> Self {
        FileStat {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(metadata),
        }
    }

    /// The stat of the file at `path`; `None` if it is missing.
    pub(in crate::io::features) fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path)
            .ok()
            .map(|metadata| Self::of(&metadata))
    }

    /// Opens `path`, and returns its stat with the file.
    ///
    /// # Errors
    /// Names the file.
    pub(super) fn open(path: &Path) -> Result<(File, Self)> {
        let opened = File::open(path).and_then(|file| {
            let stat = Self::of(&file.metadata()?);
            Ok((file, stat))
        });
        opened.map_err(|error| Error::io(path, &error))
    }

    /// Opens `path` again.
    ///
    /// # Errors
    /// Names the file if it cannot be opened, or was replaced.
    pub(super) fn reopen(&self, path: &Path) -> Result<File> {
        let (file, stat) = Self::open(path)?;
        match stat == *self {
            true => Ok(file),
            false => Err(Error::file(
                path,
                "was replaced while it was read; begin again",
            )),
        }
    }
}

/// Reads byte ranges of a file, which it opens for each read.
#[derive(Debug)]
pub(super) struct FileRangeReader {
    pub(super) path: PathBuf,
    pub(super) stat: FileStat,
}

impl FileRangeReader {
    /// Reads `bytes` bytes from offset `start`.
    ///
    /// # Errors
    /// Names the file if it cannot be read, is too short, or was replaced since it was opened.
    pub(super) fn read(&self, start: u64, bytes: usize) -> Result<Vec<u8>> {
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
