//! Folders that appear complete or not at all: they are filled under a temporary name beside the destination, and
//! renamed when they are complete. An old folder is replaced as a whole; [`write_folder_atomic`] replaces only folders
//! that hold nothing but this program's pictures.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::system::files::parent_folder::parent_folder;
use crate::system::files::resolved_path::{ResolvedPath, make_folder};
use crate::system::files::signature::is_own_picture;
use crate::system::files::temporary;
use crate::system::interrupt::UnfinishedPath;

/// Writes the folder `path` by `fill`, which gets the temporary folder to write to. It appears when it is complete, in
/// place of an old one; a failure leaves the old one. A link is followed, and the folder that it leads to is replaced.
///
/// # Errors
/// What `fill` returns; [`Error::File`] with the system's reason, or if the old folder holds anything but pictures of
/// this program, which would be lost.
pub fn write_folder_atomic(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let unfinished = UnfinishedFolder::begin(path, check_replaceable)?;
    fill(unfinished.folder())?;
    unfinished.finish()
}

/// A folder that appears when it is finished, in place of an old one; dropped before, it leaves nothing behind.
#[derive(Debug)]
pub struct UnfinishedFolder {
    path: PathBuf,
    target: PathBuf,
    is_there: bool,
    folder: temporary::TemporaryFolder,
    _unfinished: UnfinishedPath,
}

impl UnfinishedFolder {
    /// Begins the folder `path`, following links, if `check` allows an existing folder to be replaced.
    ///
    /// # Errors
    /// What `check` returns; [`Error::File`] with the system's reason, or if the path leads to no folder.
    pub fn begin(path: &Path, check: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let failed = |error: io::Error| Error::io(path, &error);
        let (target, is_there) = match ResolvedPath::resolve(path)? {
            ResolvedPath::Folder(target) => (target, true),
            ResolvedPath::Vacant(target) => (target, false),
            _ => return Err(Error::file(path, "is no folder, where one is meant")),
        };
        // Paths such as `.` have no name to rename to.
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

    /// The temporary folder that its files are written to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Moves the folder to its path, in place of an old one.
    ///
    /// # Errors
    /// [`Error::File`] names the path, with the system's reason.
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
            // The old folder is kept until the new one is in place.
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
        // It was renamed, so there is nothing left to remove.
        folder.keep();
        Ok(())
    }
}

/// Refuses to replace a folder that holds anything that this program did not make.
fn check_replaceable(folder: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::io(folder, &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // File managers leave these behind.
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

/// Whether `path` is a regular file with a picture that this program made.
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
    use crate::system::files::write_atomic;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
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
}
