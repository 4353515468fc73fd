//! Folders that outputs are written to: whether that is possible, found out before any work is done.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::system::files::parent_folder::parent_folder;
use crate::system::files::resolved_path::{ResolvedPath, TOO_LONG, forbids_files, make_folder};
use crate::system::files::temporary;

/// Finds out before hours of work whether anything can be written in `folder`, which need not exist yet. Returns its path
/// without links.
///
/// # Errors
/// Names the folder, or the nearest one above it that is there; `of` where the path of its temporary file is too long.
pub fn check_folder(folder: &Path, of: &Path) -> Result<PathBuf> {
    let (nearest, missing) = nearest_existing(folder)?;
    tempfile::tempfile_in(&nearest).map_err(|error| Error::io(&nearest, &error))?;
    let temporary = folder.join(temporary::SAMPLE_NAME);
    let too_long = |path: &Path| {
        fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::InvalidFilename)
    };
    if too_long(&temporary) || missing.iter().any(|part| too_long(&nearest.join(part))) {
        return Err(Error::file(of, TOO_LONG));
    }
    let real = fs::canonicalize(&nearest).unwrap_or(nearest);
    Ok(missing.iter().fold(real, |path, part| path.join(part)))
}

/// The nearest folder at or above `folder` that is there, and the names of those below it that are to be made.
pub(super) fn nearest_existing(folder: &Path) -> Result<(PathBuf, Vec<PathBuf>)> {
    let mut missing = Vec::new();
    let mut current = match folder.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => folder.to_owned(),
    };
    loop {
        match ResolvedPath::resolve(&current) {
            Ok(ResolvedPath::Folder(folder)) => {
                missing.reverse();
                return Ok((folder, missing));
            }
            Ok(ResolvedPath::Vacant(target)) => {
                missing.push(PathBuf::from(target.file_name().unwrap_or_default()));
                current = parent_folder(&target).to_owned();
            }
            Ok(_) => {
                let why = "not a directory, so that nothing can be put below it";
                return Err(Error::file(current, why));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether no file can be made in `folder`, so that those that are there can only be written into.
pub(super) fn refuses_new_files(folder: &Path) -> bool {
    tempfile::tempfile_in(folder).is_err_and(|error| forbids_files(&error))
}

/// Whether the file at `path`, if one is there, cannot be replaced by another, so that it is written over.
pub fn is_written_in_place(path: &Path) -> bool {
    if !path.is_file() {
        return false;
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    is_mount_point(path) || refuses_new_files(folder.unwrap_or(Path::new(".")))
}

/// Whether another file system, or another part of one, is mounted at `folder`, which cannot be renamed then.
#[cfg(target_os = "linux")]
pub(super) fn is_mount_point(folder: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    statx(CWD, folder, AtFlags::empty(), StatxFlags::empty())
        .is_ok_and(|met| met.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Whether another file system is mounted at `folder`; found out when it is renamed.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_mount_point(_: &Path) -> bool {
    false
}

/// Makes the folder of outputs `folder`, following links.
///
/// # Errors
/// Names it, with the system's reason.
pub fn create_folder(folder: &Path) -> Result<()> {
    make_folder(folder).map_err(|error| Error::io(folder, &error))
}
