//! What the path of an output leads to, all links followed: a file to be replaced, a free name, a folder, or a stream
//! to be written into.
//!
//! A rename over a link, a pipe or a device would put a regular file in its place: the link's target would stay old,
//! the pipe's reader would wait forever, and the device node would be gone. Only regular files are replaced.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::system::files::parent_folder::parent_folder;
use crate::system::files::stream::{self, OutputStream};

/// Maximum number of links that are followed, as in Linux; more are taken for a loop.
const MAX_LINKS: usize = 40;

/// What an output's path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolvedPath {
    /// A regular file, which is replaced; the last component of this path is not a link.
    File(PathBuf),
    /// A name that is free; a dangling link leads here too.
    Vacant(PathBuf),
    /// A folder.
    Folder(PathBuf),
    /// A pipe, device, socket or open descriptor, which is written into and never replaced.
    Stream(OutputStream),
}

impl ResolvedPath {
    /// Follows the links of `path` to their end.
    ///
    /// # Errors
    /// [`Error::Usage`] for an empty name; [`Error::File`] for links in a circle or into a missing folder, a descriptor
    /// that is not open for writing, a disk, a file that standard output goes to, and with the system's reason
    /// otherwise.
    pub fn resolve(path: &Path) -> Result<Self> {
        if path.as_os_str().is_empty() {
            return Err(Error::Usage("the name of an output is empty".into()));
        }
        resolve_links(path).map_err(|error| match error.kind() {
            ErrorKind::InvalidFilename => Error::file(path, TOO_LONG),
            ErrorKind::NotADirectory => {
                let is_file =
                    |path: &&Path| fs::metadata(path).is_ok_and(|metadata| !metadata.is_dir());
                Error::io(path.ancestors().find(is_file).unwrap_or(path), &error)
            }
            _ => Error::io(path, &error),
        })
    }

    /// As [`ResolvedPath::resolve`], for the value of an option, where `-` is standard output.
    ///
    /// # Errors
    /// As [`ResolvedPath::resolve`].
    pub fn resolve_flag(path: &Path) -> Result<Self> {
        match path.as_os_str() == "-" {
            true => Ok(ResolvedPath::Stream(OutputStream::Stdout)),
            false => Self::resolve(path),
        }
    }
}

/// The message about names that are too long for the file system.
pub(crate) const TOO_LONG: &str =
    "the name, or the whole path, is too long for the file system; choose a shorter one";

/// Follows the links of `path`, one after another.
fn resolve_links(path: &Path) -> io::Result<ResolvedPath> {
    let mut current = path.to_owned();
    for links in 0..=MAX_LINKS {
        if let Some(stream) = stream::find_descriptor(&current)? {
            return Ok(ResolvedPath::Stream(stream));
        }
        let metadata = match fs::symlink_metadata(&current) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if links > 0 && !parent_folder(&current).is_dir() {
                    return Err(io::Error::other(format!(
                        "is a link to {}, whose folder is not there; make the folder, or choose another place",
                        current.display()
                    )));
                }
                return Ok(ResolvedPath::Vacant(current));
            }
            metadata => metadata?,
        };
        if !metadata.is_symlink() {
            return classify(current, &metadata);
        }
        let target = fs::read_link(&current)?;
        let target = match current.parent() {
            Some(folder) => folder.join(target),
            None => target,
        };
        // A link in /proc may lead to another program's open file that has no path.
        if fs::symlink_metadata(&target).is_err()
            && let Ok(metadata) = fs::metadata(&current)
        {
            return classify(current, &metadata);
        }
        current = target;
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// Classifies what is at `path`, which is not a link, by its `metadata`.
fn classify(path: PathBuf, metadata: &Metadata) -> io::Result<ResolvedPath> {
    if metadata.is_dir() {
        return Ok(ResolvedPath::Folder(path));
    }
    let is_stdout = stream::is_stdout(metadata);
    if !metadata.is_file() {
        return Ok(ResolvedPath::Stream(match is_stdout {
            true => OutputStream::Stdout,
            false => OutputStream::from_metadata(path, metadata)?,
        }));
    }
    match is_stdout {
        true => Err(io::Error::other(
            "standard output goes to this file too, and the two would overwrite each other; leave one of them out",
        )),
        false => Ok(ResolvedPath::File(path)),
    }
}

/// Creates `folder` and its missing parents; for a dangling link its target, whose parent must exist.
///
/// # Errors
/// The system's, or that something on the path is not a folder.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    match resolve_links(folder)? {
        ResolvedPath::Folder(_) => Ok(()),
        ResolvedPath::Vacant(target) => {
            if let Some(parent) = target.parent() {
                make_folder(parent)?;
            }
            match fs::create_dir(&target) {
                // Another program created it meanwhile, or the path ends in `..`.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && target.is_dir() => Ok(()),
                made => made,
            }
        }
        _ => Err(ErrorKind::NotADirectory.into()),
    }
}

/// Whether a file could not be created because its folder or file system is not writable.
pub(crate) fn forbids_files(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
#[path = "tests/resolved_path.rs"]
mod tests;
