//! Outputs that another program writes, such as a video encoder: into a temporary folder beside the destination, from
//! which they are moved into place when they are complete.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::system::files::FileStamp;
use crate::system::files::parent_folder::parent_folder;
use crate::system::files::replacement::{
    copy_into, inherit_owner_and_mode, reports_write_errors_late,
};
use crate::system::files::resolved_path::{ResolvedPath, forbids_files, make_folder};
use crate::system::files::temporary::{self, TemporaryFolder};
use crate::system::interrupt::UnfinishedPath;

/// A file that another program writes and that appears when it is finished; dropped before, it leaves nothing behind.
#[derive(Debug)]
pub struct ExternalFile {
    path: PathBuf,
    target: PathBuf,
    /// A temporary folder of its own, since a lock on the file might keep the other program from writing it.
    folder: TemporaryFolder,
    _unfinished: UnfinishedPath,
}

impl ExternalFile {
    /// Begins a file that will appear at `path`, whose folder is made if need be.
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

    /// The path that the other program must write.
    pub fn unfinished_path(&self) -> PathBuf {
        self.folder.join("whole")
    }

    /// A path for an intermediate file, which is removed with the temporary folder.
    pub fn draft_path(&self) -> PathBuf {
        self.folder.join("draft")
    }

    /// Moves the file to its path, replacing whatever is there, and returns its stamp; `None` if it had to be copied
    /// into an existing file that could not be replaced.
    ///
    /// # Errors
    /// [`Error::File`] names the path, with the system's reason.
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
        if reports_write_errors_late(&written) {
            written.sync_data()?;
        }
        let mut hasher = blake3::Hasher::new();
        let bytes = io::copy(&mut written, &mut hasher)?;
        let stamp =
            FileStamp::of_written_file(hasher.finalize().into(), bytes, &written.metadata()?);
        drop(written);
        match fs::rename(&file, target) {
            Ok(()) => Ok(Some(stamp)),
            // As for every output: a mount point cannot be replaced, nor can other users' files in a shared folder.
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
