//! What a file is, beyond its name.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use crate::system::files::stream::{self, OutputStream};

/// A file by what it is, however it is spelled and through whatever links it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum FileIdentity {
    /// Device and number of a file that is there.
    #[cfg(unix)]
    Inode(u64, u64),
    /// The path of a file that is to be made, or that has no number.
    Path(PathBuf),
    /// Standard output.
    Stdout,
}

impl FileIdentity {
    /// Of the regular file at `path`, if there is one.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        let met = fs::metadata(path).ok().filter(Metadata::is_file)?;
        Self::of_metadata(path, &met)
    }

    #[cfg(unix)]
    fn of_metadata(_: &Path, met: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(FileIdentity::Inode(met.dev(), met.ino()))
    }

    #[cfg(not(unix))]
    fn of_metadata(path: &Path, _: &Metadata) -> Option<Self> {
        fs::canonicalize(path).ok().map(FileIdentity::Path)
    }

    /// Of a pipe or the like, of which two outputs of a run would be mixed up; nothing of a device, which sorts that out.
    pub(crate) fn of_stream(stream: &OutputStream) -> Option<Self> {
        match stream {
            OutputStream::Stdout => Some(FileIdentity::Stdout),
            OutputStream::Device(_) => None,
            OutputStream::Descriptor(_, path)
            | OutputStream::Pipe(path)
            | OutputStream::Socket(path) => {
                let met = fs::metadata(path).ok()?;
                match stream::is_device(&met) {
                    true => None,
                    false => Self::of_metadata(path, &met),
                }
            }
        }
    }
}
