//! Folders that appear complete or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::system::files::parent_folder::parent_folder;
use crate::system::files::resolved_path::{ResolvedPath, make_folder};
use crate::system::files::signature::is_own_picture;
use crate::system::files::temporary;
use crate::system::interrupt::UnfinishedPath;

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
