//! Outputs that another program writes: beside the destination, and in its place when they are whole.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::system::files::FileStamp;
use crate::system::files::parent_folder::parent_folder;
use crate::system::files::replacement::{copy_into, inherit_owner_and_mode, may_fail_late};
use crate::system::files::resolved_path::{ResolvedPath, forbids_files, make_folder};
use crate::system::files::temporary::{self, TemporaryFolder};
use crate::system::interrupt::UnfinishedPath;

/// A file that another program writes, and that appears when it is finished; what is dropped before leaves nothing behind.
#[derive(Debug)]
pub struct ExternalFile {
    path: PathBuf,
    target: PathBuf,
    /// Of its own, for locks on files may keep other programs from writing them.
    folder: TemporaryFolder,
    _unfinished: UnfinishedPath,
}

impl ExternalFile {
    /// Begins a file that is to appear at `path`, whose folder is made if need be.
    ///
    /// # Errors
    /// Names the path, if it leads to anything but a regular file or nothing, or its folder takes no new files.
    pub fn begin(path: &Path) -> Result<Self> {
        let (ResolvedPath::File(target) | ResolvedPath::Vacant(target)) =
            ResolvedPath::resolve(path)?
        else {
            return Err(Error::file(path, "is no regular file, where one is meant"));
        };
        let parent = parent_folder(&target);
        make_folder(parent).map_err(|error| Error::io(parent, &error))?;
        let made = UnfinishedPath::make(|| temporary::folder_in(parent), |folder| folder);
        let (folder, unfinished) = made.map_err(|error| Error::io(path, &error))?;
        Ok(ExternalFile {
            path: path.to_owned(),
            target,
            folder,
            _unfinished: unfinished,
        })
    }

    /// Where the program is to write.
    pub fn unfinished_path(&self) -> PathBuf {
        self.folder.join("whole")
    }

    /// A place for what is on the way there, and goes with it.
    pub fn draft_path(&self) -> PathBuf {
        self.folder.join("draft")
    }

    /// Puts the file in its place, whatever is there by now. Returns its stamp; none where it was written into something
    /// that could not be replaced.
    ///
    /// # Errors
    /// Names the path, with the system's reason.
    pub fn finish(self) -> Result<Option<FileStamp>> {
        let path = self.path.clone();
        self.move_into_place()
            .map_err(|error| Error::io(path, &error))
    }

    fn move_into_place(self) -> io::Result<Option<FileStamp>> {
        let (target, file) = (&self.target, self.unfinished_path());
        let mut written = fs::File::open(&file)?;
        if let Ok(old) = fs::metadata(target) {
            inherit_owner_and_mode(&written, &old)?;
        }
        if may_fail_late(&written) {
            written.sync_data()?;
        }
        let mut hasher = blake3::Hasher::new();
        let bytes = io::copy(&mut written, &mut hasher)?;
        let stamp =
            FileStamp::of_written_file(hasher.finalize().into(), bytes, &written.metadata()?);
        drop(written);
        match fs::rename(&file, target) {
            Ok(()) => Ok(Some(stamp)),
            // As for every output: a mount point cannot be replaced, nor can others' files in a shared folder.
            Err(refused)
                if refused.kind() == ErrorKind::ResourceBusy
                    || forbids_files(&refused) && target.is_file() =>
            {
                copy_into(target, &mut fs::File::open(&file)?).map(|()| None)
            }
            Err(refused) => Err(refused),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_appears_when_it_is_finished_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/clip.mp4");
        let file = ExternalFile::begin(&path).unwrap();
        fs::write(file.unfinished_path(), "whole").unwrap();
        assert!(!path.exists());
        let stamp = file.finish().unwrap().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(stamp.matches_file(&path).unwrap());
        let begun = ExternalFile::begin(&path).unwrap();
        fs::write(begun.unfinished_path(), "half").unwrap();
        drop(begun);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(ExternalFile::begin(folder.path()).is_err());
    }
}
