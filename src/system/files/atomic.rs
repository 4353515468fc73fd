//! Files that appear complete or not at all: a temporary file is written beside the destination, and renamed when it is
//! finished. [`write_atomic`] takes a closure that writes everything, [`AtomicFile`] is written piece by piece.
//!
//! Every output file of the program is opened here. Symbolic links are followed, and their target is replaced; pipes,
//! devices and sockets are written into (see [`ResolvedPath`]). A file that replaces another gets its mode and, where
//! the system allows it, its owner; other hard links to the old one keep the old content. A file that cannot be
//! replaced by a rename (its folder is read-only, or it is a mount point) is overwritten in place once its new content
//! is complete.

use std::fs;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::system::files::hashing_writer::HashingWriter;
use crate::system::files::parent_folder::parent_folder;
use crate::system::files::replacement::{
    copy_into, inherit_owner_and_mode, reports_write_errors_late,
};
use crate::system::files::resolved_path::{ResolvedPath, forbids_files, make_folder};
use crate::system::files::stream::write_stream;
use crate::system::files::{FileStamp, temporary};
use crate::system::interrupt::UnfinishedPath;

/// Writes the file `path` with `write`, creating its folder if needed. A failure leaves the old file as it was, except
/// where it has to be overwritten in place (see the module).
///
/// # Errors
/// [`Error::File`] names the path, or the folder that could not be made, with the system's reason.
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    write_stamped(path, write).map(|_| ())
}

/// As [`write_atomic`]; returns the stamp of the content that was written, even if the file is replaced right
/// afterwards. `None` if an existing file was overwritten in place, or the output is a pipe, device or socket.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_stamped(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Option<FileStamp>> {
    match ResolvedPath::resolve(path)? {
        ResolvedPath::File(target) | ResolvedPath::Vacant(target) => {
            let folder = parent_folder(&target);
            make_folder(folder).map_err(|error| Error::io(folder, &error))?;
            write_and_rename(folder, &target, write).map_err(|error| Error::io(path, &error))
        }
        ResolvedPath::Stream(stream) => {
            // Whole or not at all: nothing is sent before everything is encoded.
            let mut bytes = Vec::new();
            write(&mut bytes).map_err(|error| Error::io(path, &error))?;
            write_stream(&stream, path, &bytes).map(|()| None)
        }
        ResolvedPath::Folder(_) => Err(Error::file(path, "is a folder, where a file is meant")),
    }
}

/// Writes a temporary file in `folder` and renames it to `path`, or overwrites `path` if the folder takes no new files.
fn write_and_rename(
    folder: &Path,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Option<FileStamp>> {
    let mut unfinished = match UnfinishedFile::begin(folder) {
        Err(error) if forbids_files(&error) && path.is_file() => {
            let mut bytes = Vec::new();
            write(&mut bytes)?;
            return copy_into(path, &mut bytes.as_slice()).map(|()| None);
        }
        begun => begun?,
    };
    write(&mut unfinished.writer)?;
    unfinished.finish(path)
}

/// A temporary file beside its destination; removed when it is dropped or the program is interrupted.
#[derive(Debug)]
struct UnfinishedFile {
    writer: HashingWriter<BufWriter<NamedTempFile>>,
    _unfinished: UnfinishedPath,
}

impl UnfinishedFile {
    /// Begins a file in `folder`.
    fn begin(folder: &Path) -> io::Result<Self> {
        let (file, unfinished) =
            UnfinishedPath::make(|| temporary::file_in(folder), |file| file.path())?;
        Ok(UnfinishedFile {
            writer: HashingWriter::new(BufWriter::new(file)),
            _unfinished: unfinished,
        })
    }

    /// Renames it to `path` and returns its stamp; `None` if it had to be copied into an existing file.
    fn finish(self, path: &Path) -> io::Result<Option<FileStamp>> {
        let (writer, digest, bytes) = self.writer.into_inner();
        let file = writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        if let Ok(old) = fs::metadata(path) {
            inherit_owner_and_mode(file.as_file(), &old)?;
        }
        if reports_write_errors_late(file.as_file()) {
            file.as_file().sync_data()?;
        }
        let stamp = FileStamp::of_written_file(digest, bytes, &file.as_file().metadata()?);
        match file.persist(path) {
            Ok(_) => Ok(Some(stamp)),
            // A single file mounted into a container, and other users' files in a folder such as /tmp, cannot be
            // replaced but can be overwritten.
            Err(refused)
                if refused.error.kind() == ErrorKind::ResourceBusy
                    || forbids_files(&refused.error) && path.is_file() =>
            {
                copy_into(path, &mut fs::File::open(refused.file.path())?).map(|()| None)
            }
            Err(refused) => Err(refused.error),
        }
    }
}

/// A file that is written piece by piece and appears when it is finished; dropped before, it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    target: PathBuf,
    unfinished: UnfinishedFile,
}

impl AtomicFile {
    /// Begins a file that will appear at `path`, whose folder must exist.
    ///
    /// # Errors
    /// [`Error::File`] if the path leads to something other than a regular file or a free name, or its folder takes no
    /// new files.
    pub fn begin(path: &Path) -> Result<Self> {
        let (ResolvedPath::File(target) | ResolvedPath::Vacant(target)) =
            ResolvedPath::resolve(path)?
        else {
            return Err(Error::file(path, "is no regular file, where one is meant"));
        };
        let unfinished = UnfinishedFile::begin(parent_folder(&target))
            .map_err(|error| Error::io(path, &error))?;
        Ok(AtomicFile {
            path: path.to_owned(),
            target,
            unfinished,
        })
    }

    /// Moves the file to its path, replacing whatever is there, and returns its stamp; `None` if it had to be copied
    /// into an existing file that could not be replaced.
    ///
    /// # Errors
    /// [`Error::File`] names the path, with the system's reason.
    pub fn finish(self) -> Result<Option<FileStamp>> {
        let AtomicFile {
            path,
            target,
            unfinished,
        } = self;
        unfinished
            .finish(&target)
            .map_err(|error| Error::io(path, &error))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unfinished.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unfinished.writer.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::system::files::Digest;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn folders_are_made_and_the_content_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c.txt");
        write_atomic(&path, |w| w.write_all(b"all of it")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"all of it");
        assert_eq!(names(path.parent().unwrap()), ["c.txt"]);
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.txt");
        fs::write(&path, "old").unwrap();
        let error = write_atomic(&path, |w| {
            w.write_all(b"half of")?;
            Err(io::Error::from_raw_os_error(28))
        });
        assert!(
            error
                .unwrap_err()
                .to_string()
                .ends_with("kept.txt: no space left on device")
        );
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["kept.txt"]);
    }

    #[test]
    fn what_is_written_bit_by_bit_appears_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        fs::write(&path, "old").unwrap();
        let mut file = AtomicFile::begin(&path).unwrap();
        file.write_all(b"all ").unwrap();
        file.write_all(b"of it").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let stamp = file.finish().unwrap().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"all of it");
        assert!(stamp.matches_file(&path).unwrap());
        assert_eq!(stamp.digest, Digest::of_bytes(b"all of it"));
        drop(AtomicFile::begin(&path).unwrap());
        assert_eq!(names(folder.path()), ["part"]);
        assert!(AtomicFile::begin(folder.path()).is_err());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write_atomic(&file.join("below/x.txt"), |_| Ok(()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("file: not a directory"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn finished_files_are_as_readable_as_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (plain, ours) = (folder.path().join("plain"), folder.path().join("ours"));
        fs::write(&plain, "").unwrap();
        write_atomic(&ours, |_| Ok(())).unwrap();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
