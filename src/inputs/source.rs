//! One photo that has been asked for, and its bytes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::inputs::sniff;

/// Where the bytes of a photo come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File {
        /// The file as it can be opened.
        path: PathBuf,
        /// Its path below the folder it was found in; just its name if it was named itself.
        relative: PathBuf,
        /// Named by the user, not found by searching.
        named: bool,
    },
    /// Standard input.
    Stdin,
}

/// No photo is larger; a pipe that never ends must not fill the memory.
const MAX_STDIN_BYTES: u64 = 2 << 30;

/// Standard input can be read once, a photo may be wanted twice (to fit, then to draw).
static STDIN: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();

impl Source {
    /// A file that the user named.
    pub fn named(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let relative = path.file_name().unwrap_or(OsStr::new("unnamed")).into();
        Source::File {
            path,
            relative,
            named: true,
        }
    }

    /// What to call it in messages.
    pub fn name(&self) -> String {
        self.path().display().to_string()
    }

    /// The file's path, or `<stdin>`.
    pub fn path(&self) -> &Path {
        match self {
            Source::File { path, .. } => path,
            Source::Stdin => Path::new("<stdin>"),
        }
    }

    /// All bytes; nothing past the first few kilobytes is read from something that is no image.
    pub(super) fn read(&self) -> Result<std::borrow::Cow<'static, [u8]>> {
        match self {
            Source::File { path, .. } => read_file(path)
                .map(Into::into)
                .map_err(|error| Error::io(path, &error)),
            Source::Stdin => match STDIN.get_or_init(|| read_stdin().map_err(|e| e.to_string())) {
                Ok(bytes) => Ok(bytes.as_slice().into()),
                Err(why) => Err(Error::file(self.path(), why)),
            },
        }
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.by_ref()
        .take(sniff::HEAD as u64)
        .read_to_end(&mut bytes)?;
    if sniff::identify(&bytes) != sniff::Kind::Other {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(MAX_STDIN_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_STDIN_BYTES {
        return Err(io::Error::other(
            "more than 2 GiB arrived; give one image at a time",
        ));
    }
    Ok(bytes)
}
