//! TODO

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::checks::damaged;
use crate::error::{Error, Result};

/// What tells whether a file was replaced since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::io::features) struct FileStat {
    pub(super) bytes: u64,
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
    pub(in crate::io::features) fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|met| Self::of(&met))
    }

    /// Opens `path`; with what it is now.
    pub(super) fn open(path: &Path) -> Result<(File, Self)> {
        let opened = File::open(path).and_then(|file| {
            let seen = Self::of(&file.metadata()?);
            Ok((file, seen))
        });
        opened.map_err(|error| Error::io(path, &error))
    }

    /// Opens `path`, which is to be what was seen.
    pub(super) fn reopen(&self, path: &Path) -> Result<File> {
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
pub(super) struct FileRangeReader {
    pub(super) path: PathBuf,
    pub(super) stat: FileStat,
}

impl FileRangeReader {
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
