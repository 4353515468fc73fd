//! Output folders: checks, before any work is done, whether files can be created in them or only overwritten; and their
//! creation.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::system::files::parent_folder::parent_folder;
use crate::system::files::resolved_path::{ResolvedPath, TOO_LONG, forbids_files, make_folder};
use crate::system::files::temporary;

/// Checks that files can be created in `folder`, which need not exist yet, by creating a temporary file in it or in its
/// nearest existing parent. Returns its path without links.
///
/// # Errors
/// [`Error::File`] names the folder, or the nearest existing one above it, if no file can be created there; or the
/// output `of`, if the path of its temporary file would be too long.
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

/// The nearest existing folder at or above `folder`, and the names of the folders below it that are missing.
///
/// # Errors
/// If a part of the path is not a folder or cannot be resolved.
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

/// Whether no file can be created in `folder` for lack of permission, so that existing ones can only be overwritten.
pub(super) fn refuses_new_files(folder: &Path) -> bool {
    tempfile::tempfile_in(folder).is_err_and(|error| forbids_files(&error))
}

/// Whether there is a file at `path` that cannot be replaced by a rename, so that it is overwritten in place.
pub fn is_written_in_place(path: &Path) -> bool {
    if !path.is_file() {
        return false;
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    is_mount_point(path) || refuses_new_files(folder.unwrap_or(Path::new(".")))
}

/// Whether another file system, or another part of one, is mounted at `folder`, which then cannot be renamed.
#[cfg(target_os = "linux")]
pub(super) fn is_mount_point(folder: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    statx(CWD, folder, AtFlags::empty(), StatxFlags::empty())
        .is_ok_and(|status| status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Always false on this system, where the rename fails instead.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_mount_point(_: &Path) -> bool {
    false
}

/// Creates `folder` and its missing parents, following links.
///
/// # Errors
/// [`Error::File`] names it, with the system's reason.
pub fn create_folder(folder: &Path) -> Result<()> {
    make_folder(folder).map_err(|error| Error::io(folder, &error))
}
