//! What the path of an output leads to, all links followed: a file to be replaced, or something that is written into.
//!
//! A rename over a link, a pipe or a device would put a plain file in its place: the link's target would stay old, the
//! pipe's reader would wait for ever, and the machine would have lost its device. Only regular files are replaced.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::system::files::parent_folder::parent_folder;
use crate::system::files::stream::{self, OutputStream};

/// Links that are followed before they are taken for a circle; Linux follows as many.
const MAX_LINKS: usize = 40;

/// What is at the end of an output's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolvedPath {
    /// A regular file, to be replaced; the path is without links at its end.
    File(PathBuf),
    /// Nothing yet; a link that dangles leads here too.
    Vacant(PathBuf),
    /// A folder.
    Folder(PathBuf),
    /// What is no regular file, or was opened by the shell: it is written into and never replaced.
    Stream(OutputStream),
}

impl ResolvedPath {
    /// Follows `path` to its end.
    ///
    /// # Errors
    /// Names the path: for an empty name, links in a circle or to what lies in no folder, a descriptor that is not open for writing, a disk, a file
    /// that standard output goes to, and whatever the system says.
    pub fn resolve(path: &Path) -> Result<Self> {
        if path.as_os_str().is_empty() {
            return Err(Error::Usage("the name of an output is empty".into()));
        }
        resolve_links(path).map_err(|error| match error.kind() {
            ErrorKind::InvalidFilename => Error::file(path, TOO_LONG),
            ErrorKind::NotADirectory => {
                let is_file = |path: &&Path| fs::metadata(path).is_ok_and(|met| !met.is_dir());
                Error::io(path.ancestors().find(is_file).unwrap_or(path), &error)
            }
            _ => Error::io(path, &error),
        })
    }

    /// What is at the end of a path that a flag names: `-` is standard output.
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

/// Said of names that the file system does not take.
pub(crate) const TOO_LONG: &str =
    "the name, or the whole path, is too long for the file system; choose a shorter one";

fn resolve_links(path: &Path) -> io::Result<ResolvedPath> {
    let mut current = path.to_owned();
    for links in 0..=MAX_LINKS {
        if let Some(stream) = stream::find_descriptor(&current)? {
            return Ok(ResolvedPath::Stream(stream));
        }
        let met = match fs::symlink_metadata(&current) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if links > 0 && !parent_folder(&current).is_dir() {
                    return Err(io::Error::other(format!(
                        "is a link to {}, whose folder is not there; make the folder, or choose another place",
                        current.display()
                    )));
                }
                return Ok(ResolvedPath::Vacant(current));
            }
            met => met?,
        };
        if !met.is_symlink() {
            return classify(current, &met);
        }
        let target = fs::read_link(&current)?;
        let target = match current.parent() {
            Some(folder) => folder.join(target),
            None => target,
        };
        // A link of /proc leads to what another program has open, which need not have a path.
        if fs::symlink_metadata(&target).is_err()
            && let Ok(met) = fs::metadata(&current)
        {
            return classify(current, &met);
        }
        current = target;
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// What `met` at `path`, which is no link, is.
fn classify(path: PathBuf, met: &Metadata) -> io::Result<ResolvedPath> {
    if met.is_dir() {
        return Ok(ResolvedPath::Folder(path));
    }
    let is_stdout = stream::is_stdout(met);
    if !met.is_file() {
        return Ok(ResolvedPath::Stream(match is_stdout {
            true => OutputStream::Stdout,
            false => OutputStream::from_metadata(path, met)?,
        }));
    }
    match is_stdout {
        true => Err(io::Error::other(
            "standard output goes to this file too, and the two would overwrite each other; leave one of them out",
        )),
        false => Ok(ResolvedPath::File(path)),
    }
}

/// Makes `folder` and those above it; where one of them is a link that dangles, its target, but nothing above that.
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
                // Somebody else was faster, or it was `..`.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && target.is_dir() => Ok(()),
                made => made,
            }
        }
        _ => Err(ErrorKind::NotADirectory.into()),
    }
}

/// Whether a file was not made because its folder, or the whole file system, is not to be changed.
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
