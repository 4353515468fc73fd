//! The file of a manifest, whose lines are read once and appended whole.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, FileFault, Result};
use crate::io::manifest::entry::ManifestLine;
use crate::io::manifest::line_reader::read_lines;
use crate::io::output::{check_folder, create_folder};
use crate::system::files::ResolvedPath;

/// A file that whole lines are appended to, by any number of threads and processes.
#[derive(Debug)]
pub(super) struct ManifestLog {
    path: PathBuf,
    tail: Mutex<LogTail>,
}

/// The end of the file.
#[derive(Debug)]
struct LogTail {
    /// Opened, and made if need be, by the first line that is appended.
    file: Option<File>,
    /// Whether the last line was torn when the file was read.
    is_torn: bool,
}

impl ManifestLog {
    /// Reads the lines at `path`, where there need not be a file yet, and finds out whether more can be appended.
    ///
    /// # Errors
    /// Names the file, or the folder in which it cannot be made, and a line that cannot be understood.
    pub fn read(path: PathBuf, mut take: impl FnMut(&ManifestLine)) -> Result<Self> {
        let mut end = LogTail {
            file: None,
            is_torn: false,
        };
        match ResolvedPath::resolve(&path)? {
            ResolvedPath::File(_) => {
                let file = open(&path, false)?;
                let ending = read_lines(&path, &file, |line, _| {
                    take(line);
                    Ok(())
                })?;
                end.is_torn = ending.is_torn;
                end.file = Some(file);
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
        let end = Mutex::new(end);
        Ok(ManifestLog { path, tail: end })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, making the file and its folder if need be.
    ///
    /// # Errors
    /// Names the file, or the folder that cannot be made, with the system's reason.
    pub fn append(&self, line: &ManifestLine) -> Result<()> {
        let failed = |error: io::Error| Error::io(&self.path, &error);
        let text = line.to_text().map_err(|error| failed(error.into()))?;
        let mut end = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match end.file.take() {
            Some(file) if is_same_file(&file, &self.path) => file,
            // What is made from now on would be in a folder that knows nothing of it.
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
        // Where the file system has no locks, each line is still written at once.
        let is_locked = file.lock().is_ok();
        let written = append_line(&file, &text, end.is_torn);
        if is_locked {
            let _ = file.unlock();
        }
        end.is_torn = written.is_err();
        end.file = Some(file);
        written.map_err(failed)
    }
}

/// Whether `file` is what `path` leads to.
#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |met: &std::fs::Metadata| (met.dev(), met.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(own), Ok(there)) => id(&own) == id(&there),
        _ => false,
    }
}

/// Open files cannot be removed there.
#[cfg(not(unix))]
fn is_same_file(_: &File, path: &Path) -> bool {
    path.exists()
}

fn open(path: &Path, create: bool) -> Result<File> {
    let mut options = File::options();
    let file = options.read(true).append(true).create(create).open(path);
    file.map_err(|error| Error::io(path, &error))
}

/// Puts a line at the end, on a line of its own; what is before a blank line may be torn.
fn append_line(mut file: &File, line: &[u8], is_torn: bool) -> io::Result<()> {
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let before: &[u8] = match (last, is_torn) {
        ([b'\n'], false) => b"",
        ([b'\n'], true) => b"\n",
        // Another program was killed meanwhile.
        _ => b"\n\n",
    };
    file.write_all(&[before, line].concat())
}
