//! What the path of an output leads to, all links followed: a file to be replaced, or something that is written into.
//!
//! A rename over a link, a pipe or a device would put a plain file in its place: the link's target would stay old, the
//! pipe's reader would wait for ever, and the machine would have lost its device. Only regular files are replaced.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::system::closed_stdout;
use crate::system::files::stream::{self, OutputStream};
use crate::system::interrupt::{self, WaitGuard};

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

/// A file by what it is, however it is spelled and through whatever links it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum FileIdentity {
    /// Device and number of a file that is there.
    #[cfg(unix)]
    Inode(u64, u64),
    /// The path of a file that is to be made, or that has no number.
    Path(PathBuf),
    /// Standard output.
    Stdout,
}

impl FileIdentity {
    /// Of the regular file at `path`, if there is one.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        let met = fs::metadata(path).ok().filter(Metadata::is_file)?;
        Self::of_metadata(path, &met)
    }

    #[cfg(unix)]
    fn of_metadata(_: &Path, met: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(FileIdentity::Inode(met.dev(), met.ino()))
    }

    #[cfg(not(unix))]
    fn of_metadata(path: &Path, _: &Metadata) -> Option<Self> {
        fs::canonicalize(path).ok().map(FileIdentity::Path)
    }

    /// Of a pipe or the like, of which two outputs of a run would be mixed up; nothing of a device, which sorts that out.
    pub(crate) fn of_stream(stream: &OutputStream) -> Option<Self> {
        match stream {
            OutputStream::Stdout => Some(FileIdentity::Stdout),
            OutputStream::Device(_) => None,
            OutputStream::Descriptor(_, path)
            | OutputStream::Pipe(path)
            | OutputStream::Socket(path) => {
                let met = fs::metadata(path).ok()?;
                match stream::is_device(&met) {
                    true => None,
                    false => Self::of_metadata(path, &met),
                }
            }
        }
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

/// The folder that `path` lies in, as it can be opened.
pub(crate) fn parent_folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes all of `bytes` to what `stream` is.
///
/// # Errors
/// Names `path`. A reader of standard output that went away ends the program without a word, as everywhere.
pub(crate) fn write_stream(stream: &OutputStream, path: &Path, bytes: &[u8]) -> Result<()> {
    if *stream == OutputStream::Stdout {
        closed_stdout::check_stdout()?;
    }
    // A pipe waits for its reader.
    let _waiting = WaitGuard::begin();
    if matches!(stream, OutputStream::Pipe(_)) {
        interrupt::check()?;
    }
    let write = || {
        let mut writer = stream.open()?;
        writer.write_all(bytes)?;
        writer.flush()
    };
    match write() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe && *stream == OutputStream::Stdout => {
            interrupt::end_now(interrupt::BROKEN_PIPE_EXIT_CODE)
        }
        written => written.map_err(|error| Error::io(path, &error)),
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
#[path = "tests/place.rs"]
mod tests;
