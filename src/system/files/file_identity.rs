//! The identity of a file whatever its path, to detect that two outputs, or an input and an output, are the same file.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use crate::system::files::stream::{self, OutputStream};

/// Identifies a file independently of how its path is spelled and of links.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum FileIdentity {
    /// Device and inode number of an existing file.
    #[cfg(unix)]
    Inode(u64, u64),
    /// The path without links: of a file that does not exist yet or a folder, and of every file on systems without
    /// inode numbers.
    Path(PathBuf),
    /// Standard output.
    Stdout,
}

impl FileIdentity {
    /// The identity of the regular file at `path`, if there is one.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
        Self::of_metadata(path, &metadata)
    }

    /// The identity of an existing file with `metadata`.
    #[cfg(unix)]
    fn of_metadata(_: &Path, metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(FileIdentity::Inode(metadata.dev(), metadata.ino()))
    }

    /// The identity of the existing file at `path`.
    #[cfg(not(unix))]
    fn of_metadata(path: &Path, _: &Metadata) -> Option<Self> {
        fs::canonicalize(path).ok().map(FileIdentity::Path)
    }

    /// The identity of a stream in which two outputs of a run would be interleaved; `None` for a device, which may have
    /// several writers.
    pub(crate) fn of_stream(stream: &OutputStream) -> Option<Self> {
        match stream {
            OutputStream::Stdout => Some(FileIdentity::Stdout),
            OutputStream::Device(_) => None,
            OutputStream::Descriptor(_, path)
            | OutputStream::Pipe(path)
            | OutputStream::Socket(path) => {
                let metadata = fs::metadata(path).ok()?;
                match stream::is_device(&metadata) {
                    true => None,
                    false => Self::of_metadata(path, &metadata),
                }
            }
        }
    }
}
