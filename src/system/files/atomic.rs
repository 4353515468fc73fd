//! Files that appear complete or not at all: a temporary file beside the destination, renamed when it is finished.
//!
//! Every output of the program is opened here. Links are followed, and what they lead to is replaced; what is no regular
//! file is written into (see [`ResolvedPath`]). A file that replaces another has its mode and, where the system allows it, its
//! owner; other hard links to the old one keep the old content. A file whose folder takes no new ones (it is read-only, or
//! the file is mounted by itself) is written in place, once everything is there.

use std::fs;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::system::files::resolved_path::{
    ResolvedPath, forbids_files, make_folder, parent_folder, write_stream,
};
use crate::system::files::signature::is_own_picture;
use crate::system::files::{Digest, FileStamp, temporary};
use crate::system::interrupt::UnfinishedPath;

/// Writes `path` through `write`, making its folder if need be. A failure leaves nothing behind, and what was at
/// `path` before stays.
///
/// # Errors
/// Names the path (or the folder that could not be made) with the system's reason.
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    write_stamped(path, write).map(|_| ())
}

/// As [`write_atomic`]; returns the stamp of what was written, whoever replaces it the next moment. Nothing of what was
/// written into something that was there.
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
            // Whole or not at all: nothing is sent before everything is there.
            let mut bytes = Vec::new();
            write(&mut bytes).map_err(|error| Error::io(path, &error))?;
            write_stream(&stream, path, &bytes).map(|()| None)
        }
        ResolvedPath::Folder(_) => Err(Error::file(path, "is a folder, where a file is meant")),
    }
}

fn write_and_rename(
    folder: &Path,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Option<FileStamp>> {
    let mut beside = match UnfinishedFile::begin(folder) {
        Err(error) if forbids_files(&error) && path.is_file() => {
            let mut bytes = Vec::new();
            write(&mut bytes)?;
            return copy_into(path, &mut bytes.as_slice()).map(|()| None);
        }
        begun => begun?,
    };
    write(&mut beside.writer)?;
    beside.finish(path)
}

/// An unfinished file that is written beside its destination.
#[derive(Debug)]
struct UnfinishedFile {
    writer: HashingWriter<BufWriter<NamedTempFile>>,
    _unfinished: UnfinishedPath,
}

impl UnfinishedFile {
    fn begin(folder: &Path) -> io::Result<Self> {
        let (file, unfinished) =
            UnfinishedPath::make(|| temporary::file_in(folder), |file| file.path())?;
        Ok(UnfinishedFile {
            writer: HashingWriter::new(BufWriter::new(file)),
            _unfinished: unfinished,
        })
    }

    /// Puts it in place of `path`; nothing is known of what was written into something that was there.
    fn finish(self, path: &Path) -> io::Result<Option<FileStamp>> {
        let (writer, digest, bytes) = self.writer.into_inner();
        let file = writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        if let Ok(old) = fs::metadata(path) {
            inherit_owner_and_mode(file.as_file(), &old)?;
        }
        if may_fail_late(file.as_file()) {
            file.as_file().sync_data()?;
        }
        let stamp = FileStamp::of_written_file(digest, bytes, &file.as_file().metadata()?);
        match file.persist(path) {
            Ok(_) => Ok(Some(stamp)),
            // A single file that a container was given is a mount point, and others' files in a folder such as /tmp are
            // not to be renamed: they can be written, not replaced.
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

/// A file that is written bit by bit, and appears when it is finished; what is dropped before leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    target: PathBuf,
    unfinished: UnfinishedFile,
}

impl AtomicFile {
    /// Begins a file that is to appear at `path`, whose folder is there.
    ///
    /// # Errors
    /// Names the path, if it leads to anything but a regular file or nothing, or its folder takes no new files.
    pub fn begin(path: &Path) -> Result<Self> {
        let (ResolvedPath::File(target) | ResolvedPath::Vacant(target)) =
            ResolvedPath::resolve(path)?
        else {
            return Err(Error::file(path, "is no regular file, where one is meant"));
        };
        let beside = UnfinishedFile::begin(parent_folder(&target))
            .map_err(|error| Error::io(path, &error))?;
        Ok(AtomicFile {
            path: path.to_owned(),
            target,
            unfinished: beside,
        })
    }

    /// Puts the file in its place, whatever is there by now. Returns its stamp; none where it was written into something
    /// that could not be replaced.
    ///
    /// # Errors
    /// Names the path, with the system's reason.
    pub fn finish(self) -> Result<Option<FileStamp>> {
        let AtomicFile {
            path,
            target,
            unfinished: beside,
        } = self;
        beside
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

/// Whether a file is on a file system that may say only later that it has no room: one of a network, or of a program.
#[cfg(target_os = "linux")]
pub(crate) fn may_fail_late(file: &fs::File) -> bool {
    // NFS, SMB, CIFS, FUSE, Ceph, Lustre, 9p.
    const SUCH: [u64; 7] = [
        0x6969,
        0xfe53_4d42,
        0xff53_4d42,
        0x6573_5546,
        0x00c3_6400,
        0x0bd0_0bd0,
        0x0102_1997,
    ];
    rustix::fs::fstatfs(file).is_ok_and(|met| SUCH.contains(&((met.f_type as u64) & 0xffff_ffff)))
}

/// Not asked there.
#[cfg(not(target_os = "linux"))]
pub(crate) fn may_fail_late(_: &fs::File) -> bool {
    false
}

/// Digests what goes through it.
#[derive(Debug)]
struct HashingWriter<W> {
    writer: W,
    hasher: blake3::Hasher,
}

impl<W: Write> HashingWriter<W> {
    fn new(writer: W) -> Self {
        HashingWriter {
            writer,
            hasher: blake3::Hasher::new(),
        }
    }

    /// The writer, and the digest of all bytes and how many they were.
    fn into_inner(self) -> (W, Digest, u64) {
        let bytes = self.hasher.count();
        (self.writer, self.hasher.finalize().into(), bytes)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Gives `file` the mode of the file that it will replace, and its owner and group where the system allows it.
#[cfg(unix)]
pub(crate) fn inherit_owner_and_mode(file: &fs::File, old: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid())
        && fchown(file, Some(old.uid()), Some(old.gid())).is_err()
    {
        // Only root gives files away; a group that one is in can be kept.
        let _ = fchown(file, None, Some(old.gid()));
    }
    file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777))
}

#[cfg(not(unix))]
pub(crate) fn inherit_owner_and_mode(_: &fs::File, _: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// Replaces the content of the file `path` by that of `from`.
pub(crate) fn copy_into(path: &Path, from: &mut dyn io::Read) -> io::Result<()> {
    let mut target = fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)?;
    io::copy(from, &mut target)?;
    Ok(())
}

/// Fills the folder `path` through `fill`, which gets the folder to write to. It appears when it is complete, in place
/// of any that was there before; a failure leaves the old one. A link is followed, and the folder that it leads to
/// replaced.
///
/// # Errors
/// What `fill` returns, or the path with the system's reason; and if the old folder holds anything but pictures that this
/// program made, which would be lost.
pub fn write_folder_atomic(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let unfinished = UnfinishedFolder::begin(path, check_replaceable)?;
    fill(unfinished.folder())?;
    unfinished.finish()
}

/// A folder that appears when it is complete, in place of any that was there before; dropped before, it leaves nothing.
#[derive(Debug)]
pub struct UnfinishedFolder {
    path: PathBuf,
    target: PathBuf,
    is_there: bool,
    folder: temporary::TemporaryFolder,
    _unfinished: UnfinishedPath,
}

impl UnfinishedFolder {
    /// Begins the folder `path`, if `check` lets the one be replaced that is there; a link is followed.
    ///
    /// # Errors
    /// What `check` returns, or the path with the system's reason.
    pub fn begin(path: &Path, check: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let failed = |error: io::Error| Error::io(path, &error);
        let (target, is_there) = match ResolvedPath::resolve(path)? {
            ResolvedPath::Folder(target) => (target, true),
            ResolvedPath::Vacant(target) => (target, false),
            _ => return Err(Error::file(path, "is no folder, where one is meant")),
        };
        // `.` and the like have no name of their own to be renamed to.
        let target = match target.file_name() {
            Some(_) => target,
            None => fs::canonicalize(&target).map_err(failed)?,
        };
        if is_there {
            check(&target)?;
        }
        let parent = parent_folder(&target);
        make_folder(parent).map_err(|error| Error::io(parent, &error))?;
        let made = UnfinishedPath::make(|| temporary::folder_in(parent), |folder| folder);
        let (folder, unfinished) = made.map_err(failed)?;
        Ok(UnfinishedFolder {
            path: path.to_owned(),
            is_there,
            folder,
            _unfinished: unfinished,
            target,
        })
    }

    /// Where its files are written.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// The path with the system's reason.
    pub fn finish(self) -> Result<()> {
        let UnfinishedFolder {
            path,
            target,
            is_there,
            folder,
            ..
        } = self;
        let failed = |error: io::Error| Error::io(&path, &error);
        if is_there {
            let permissions = fs::metadata(&target).map_err(failed)?.permissions();
            fs::set_permissions(&*folder, permissions).map_err(failed)?;
            // The old one is there until the new one is.
            let aside = temporary::folder_in(parent_folder(&target)).map_err(failed)?;
            let old = aside.join("old");
            fs::rename(&target, &old).map_err(failed)?;
            if let Err(error) = fs::rename(&*folder, &target) {
                fs::rename(&old, &target).map_err(failed)?;
                return Err(failed(error));
            }
        } else {
            fs::rename(&*folder, &target).map_err(failed)?;
        }
        // It has another name now, and nothing is left to be deleted.
        folder.keep();
        Ok(())
    }
}

/// Refuses to replace a folder with anything in it that this program did not make.
fn check_replaceable(folder: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::io(folder, &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // What file managers leave behind is nobody's work.
        let is_litter = path
            .file_name()
            .is_some_and(|name| name == ".DS_Store" || name == "Thumbs.db");
        if !is_litter && !is_own_file(&path) {
            return Err(Error::file(
                folder,
                format!(
                    "would be replaced, but {} in it was not made by dino; move it, or choose another place",
                    path.file_name().unwrap_or_default().display()
                ),
            ));
        }
    }
    Ok(())
}

/// Whether `path` is a regular file with a picture of this program's own.
fn is_own_file(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = |head: &mut Vec<u8>| -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_file() {
            io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, 4096), head)?;
        }
        Ok(())
    };
    read(&mut head).is_ok() && is_own_picture(&head)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
    fn a_folder_appears_complete_and_replaces_the_old_one() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("x/masks");
        let fill = |name: &'static str| {
            move |folder: &Path| {
                write_atomic(&folder.join(name), |w| w.write_all(b"tEXtSoftware\0dino 1"))
            }
        };
        write_folder_atomic(&path, fill("old")).unwrap();
        let failed = write_folder_atomic(&path, |folder| {
            fill("half")(folder)?;
            Err(Error::file("half", "is not enough"))
        });
        assert!(failed.is_err());
        assert_eq!(names(&path), ["old"]);
        write_folder_atomic(&path, fill("new")).unwrap();
        assert_eq!(names(&path), ["new"]);
        assert_eq!(names(&parent.path().join("x")), ["masks"]);
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
