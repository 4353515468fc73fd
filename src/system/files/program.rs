//! Outputs that another program writes: beside the destination, and in its place when they are whole.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::atomic::{copy_into, inherit, may_fail_late};
use super::place::{Place, make_folder, parent};
use super::temporary::{self, Folder};
use crate::error::{Error, Result};
use crate::system::files::Stamp;
use crate::system::files::place::forbids_files;
use crate::system::interrupt::Unfinished;

/// A file that another program writes, and that appears when it is finished; what is dropped before leaves nothing behind.
#[derive(Debug)]
pub struct ProgramFile {
    path: PathBuf,
    target: PathBuf,
    /// Of its own, for locks on files may keep other programs from writing them.
    folder: Folder,
    _unfinished: Unfinished,
}

impl ProgramFile {
    /// Begins a file that is to appear at `path`, whose folder is made if need be.
    ///
    /// # Errors
    /// Names the path, if it leads to anything but a regular file or nothing, or its folder takes no new files.
    pub fn begin(path: &Path) -> Result<Self> {
        let (Place::File(target) | Place::Vacant(target)) = Place::of(path)? else {
            return Err(Error::file(path, "is no regular file, where one is meant"));
        };
        let parent = parent(&target);
        make_folder(parent).map_err(|error| Error::io(parent, &error))?;
        let made = Unfinished::make(|| temporary::folder_in(parent), |folder| folder);
        let (folder, unfinished) = made.map_err(|error| Error::io(path, &error))?;
        Ok(ProgramFile {
            path: path.to_owned(),
            target,
            folder,
            _unfinished: unfinished,
        })
    }

    /// Where the program is to write.
    pub fn unfinished(&self) -> PathBuf {
        self.folder.join("whole")
    }

    /// A place for what is on the way there, and goes with it.
    pub fn draft(&self) -> PathBuf {
        self.folder.join("draft")
    }

    /// Puts the file in its place, whatever is there by now. Returns its stamp; none where it was written into something
    /// that could not be replaced.
    ///
    /// # Errors
    /// Names the path, with the system's reason.
    pub fn finish(self) -> Result<Option<Stamp>> {
        let path = self.path.clone();
        self.replace().map_err(|error| Error::io(path, &error))
    }

    fn replace(self) -> io::Result<Option<Stamp>> {
        let (target, file) = (&self.target, self.unfinished());
        let mut written = fs::File::open(&file)?;
        if let Ok(old) = fs::metadata(target) {
            inherit(&written, &old)?;
        }
        if may_fail_late(&written) {
            written.sync_data()?;
        }
        let mut hasher = blake3::Hasher::new();
        let bytes = io::copy(&mut written, &mut hasher)?;
        let stamp = Stamp::of_written(hasher.finalize().into(), bytes, &written.metadata()?);
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
        let file = ProgramFile::begin(&path).unwrap();
        fs::write(file.unfinished(), "whole").unwrap();
        assert!(!path.exists());
        let stamp = file.finish().unwrap().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(stamp.still_is(&path).unwrap());
        let begun = ProgramFile::begin(&path).unwrap();
        fs::write(begun.unfinished(), "half").unwrap();
        drop(begun);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(ProgramFile::begin(folder.path()).is_err());
    }
}
