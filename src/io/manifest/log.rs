//! [`ManifestLog`]: the file of a manifest, which is read once and then appended to line by line.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, FileFault, Result};
use crate::io::manifest::entry::ManifestLine;
use crate::io::manifest::line_reader::read_lines;
use crate::io::output::{check_folder, create_folder};
use crate::system::files::ResolvedPath;

/// A file to which any number of threads and processes append whole lines, each in one write.
#[derive(Debug)]
pub(super) struct ManifestLog {
    path: PathBuf,
    tail: Mutex<LogTail>,
}

/// State of the end of the file.
#[derive(Debug)]
struct LogTail {
    /// Open if the file existed, else from the first append.
    file: Option<File>,
    /// Whether the last line is truncated, in the file as read or by a failed append.
    is_torn: bool,
}

impl ManifestLog {
    /// Reads the lines of the file at `path`, if it exists, and checks that lines can be appended.
    ///
    /// # Errors
    /// Names the file that cannot be read or opened for appending, the folder in which it cannot be created, or a line
    /// that is not understood.
    pub fn read(path: PathBuf, mut take: impl FnMut(&ManifestLine)) -> Result<Self> {
        let mut tail = LogTail {
            file: None,
            is_torn: false,
        };
        match ResolvedPath::resolve(&path)? {
            ResolvedPath::File(_) => {
                let file = open(&path, false)?;
                let end = read_lines(&path, &file, |line, _| {
                    take(line);
                    Ok(())
                })?;
                tail.is_torn = end.is_torn;
                tail.file = Some(file);
            }
            ResolvedPath::Vacant(target) => {
                check_folder(target.parent().unwrap_or(Path::new("")), &path)?;
            }
            ResolvedPath::Folder(_) | ResolvedPath::Stream(_) => {
                return Err(Error::file(
                    path,
                    "is no regular file, where dino notes what it has made; move it away, or choose another output folder",
                ));
            }
        }
        let tail = Mutex::new(tail);
        Ok(ManifestLog { path, tail })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line in one write, and creates the file and its folder first if they are missing.
    ///
    /// # Errors
    /// Names the file if it was removed or replaced since it was opened, or it or its folder cannot be written.
    pub fn append(&self, line: &ManifestLine) -> Result<()> {
        let failed = |error: io::Error| Error::io(&self.path, &error);
        let text = line.to_text().map_err(|error| failed(error.into()))?;
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match tail.file.take() {
            Some(file) if is_same_file(&file, &self.path) => file,
            // Lines in a removed file would be lost.
            Some(_) => {
                return Err(Error::file_with_fault(
                    &self.path,
                    "was removed or replaced while the run was under way; run again",
                    FileFault::Changed,
                ));
            }
            None => {
                create_folder(self.path.parent().unwrap_or(Path::new("")))?;
                open(&self.path, true)?
            }
        };
        // On file systems without locks, each line is still a single write.
        let is_locked = file.lock().is_ok();
        let written = append_line(&file, &text, tail.is_torn);
        if is_locked {
            let _ = file.unlock();
        }
        tail.is_torn = written.is_err();
        tail.file = Some(file);
        written.map_err(failed)
    }
}

/// Whether `path` still leads to the open `file`.
#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(own), Ok(there)) => id(&own) == id(&there),
        _ => false,
    }
}

/// Whether `path` still exists: an open file cannot be removed on Windows.
#[cfg(not(unix))]
fn is_same_file(_: &File, path: &Path) -> bool {
    path.exists()
}

fn open(path: &Path, create: bool) -> Result<File> {
    let mut options = File::options();
    let file = options.read(true).append(true).create(create).open(path);
    file.map_err(|error| Error::io(path, &error))
}

/// Appends a line on a line of its own; a blank line before it marks a torn line.
fn append_line(mut file: &File, line: &[u8], is_torn: bool) -> io::Result<()> {
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let before: &[u8] = match (last, is_torn) {
        ([b'\n'], false) => b"",
        ([b'\n'], true) => b"\n",
        // No line break: another program was killed while it appended.
        _ => b"\n\n",
    };
    file.write_all(&[before, line].concat())
}
