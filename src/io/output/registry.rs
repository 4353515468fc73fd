//! The registry of all outputs of a run, checked before any work is done: whether each can be written, and whether it
//! is the same file as an input or another output, however the paths are spelled. Each path becomes a [`Destination`].

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::output::folder::{check_folder, is_mount_point, refuses_new_files};
use crate::io::output::job::Destination;
use crate::system::files::file_identity::FileIdentity;
use crate::system::files::parent_folder::parent_folder;
use crate::system::files::resolved_path::ResolvedPath;
use crate::system::files::stream::OutputStream;
use crate::system::files::temporary;

/// Whether an output is a file or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// One file.
    File,
    /// A folder, which is replaced as a whole.
    Folder,
}

/// The outputs of a run so far, and the files that they must not replace.
#[derive(Debug, Clone, Default)]
pub struct OutputRegistry {
    /// Files that are read, with the paths that the user gave.
    inputs: HashMap<FileIdentity, PathBuf>,
    /// Outputs that are planned, with their paths.
    taken: HashMap<FileIdentity, PathBuf>,
    /// Folders in which files can be created, with their paths without links.
    folders: HashMap<PathBuf, PathBuf>,
    /// Folders that were searched for leftovers of killed runs.
    swept: HashSet<PathBuf>,
}

impl OutputRegistry {
    /// An empty registry for a run that reads `inputs`; only regular files among them need protection.
    pub fn new<'p>(inputs: impl IntoIterator<Item = &'p Path>) -> Self {
        let inputs = inputs
            .into_iter()
            .filter_map(|path| Some((FileIdentity::of_file(path)?, path.to_owned())));
        OutputRegistry {
            inputs: inputs.collect(),
            ..OutputRegistry::default()
        }
    }

    /// Drops the lists of inputs and outputs once all outputs are known, since a million paths take much memory.
    pub fn forget_paths(&mut self) {
        self.inputs = HashMap::new();
        self.taken = HashMap::new();
    }

    /// Protects further files that the run reads, beside its inputs.
    pub fn protect<'p>(&mut self, paths: impl IntoIterator<Item = &'p Path>) {
        let read = paths
            .into_iter()
            .filter_map(|path| Some((FileIdentity::of_file(path)?, path.to_owned())));
        self.inputs.extend(read);
    }

    /// Adds the output that `flag` names, `-` for stdout, and returns its destination.
    ///
    /// # Errors
    /// As [`OutputRegistry::add`]; [`Error::Usage`] if the file exists and `force` does not replace it.
    pub fn add_flag(&mut self, flag: &str, path: &Path, force: bool) -> Result<Destination> {
        if path.as_os_str() == "-" {
            return self
                .claim(FileIdentity::Stdout, path)
                .map(|()| Destination::Stdout);
        }
        match self.add(path, OutputKind::File, force)? {
            Destination::Existing(path) => Err(Error::Usage(format!(
                "{flag}: {} is there already; --force replaces it",
                path.display()
            ))),
            destination => Ok(destination),
        }
    }

    /// Adds the output at `path` and returns its destination: [`Destination::Existing`] if it exists and `force` does
    /// not replace it. Pipes, devices and sockets never count as existing: they are written into.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is an input, another output, or of the wrong kind; [`Error::File`] if it cannot be
    /// written.
    pub fn add(&mut self, path: &Path, kind: OutputKind, force: bool) -> Result<Destination> {
        let place = ResolvedPath::resolve(path)?;
        if is_folder_name(path)
            && kind == OutputKind::File
            && place != ResolvedPath::Stream(OutputStream::Stdout)
        {
            return Err(wrong_kind_error(path, kind));
        }
        match &place {
            ResolvedPath::Stream(stream) => {
                if kind == OutputKind::Folder {
                    return Err(wrong_kind_error(path, kind));
                }
                if let Some(identity) = FileIdentity::of_stream(stream) {
                    self.claim(identity, path)?;
                }
                if let Some(open) = stream.path() {
                    check_permission(path, open)?;
                }
                return Ok(match stream {
                    OutputStream::Stdout => Destination::Stdout,
                    _ => Destination::File(path.to_owned()),
                });
            }
            ResolvedPath::File(target) => {
                if let Some(identity) = FileIdentity::of_file(target) {
                    self.claim(identity, path)?;
                }
            }
            ResolvedPath::Folder(target) => {
                let real = fs::canonicalize(target).map_err(|error| Error::io(path, &error))?;
                self.claim(FileIdentity::Path(real), path)?;
            }
            ResolvedPath::Vacant(target) => {
                let folder = self.resolve_folder(parent_folder(target), path)?;
                let name = target.file_name().unwrap_or(OsStr::new(".."));
                self.claim(FileIdentity::Path(folder.join(name)), path)?;
            }
        }
        match (&place, kind) {
            (ResolvedPath::File(_), OutputKind::Folder)
            | (ResolvedPath::Folder(_), OutputKind::File) => Err(wrong_kind_error(path, kind)),
            (ResolvedPath::Vacant(_), _) => Ok(Destination::File(path.to_owned())),
            (ResolvedPath::File(target) | ResolvedPath::Folder(target), _) if !force => {
                self.sweep(parent_folder(target));
                Ok(Destination::Existing(path.to_owned()))
            }
            _ if !force => Ok(Destination::Existing(path.to_owned())),
            _ => {
                self.check_replaceable(path)?;
                Ok(Destination::File(path.to_owned()))
            }
        }
    }

    /// Checks that the file or folder at `path` can be replaced, or at least overwritten.
    ///
    /// # Errors
    /// [`Error::File`] names it if it cannot.
    pub fn check_replaceable(&mut self, path: &Path) -> Result<()> {
        match ResolvedPath::resolve(path)? {
            ResolvedPath::File(target) => {
                check_permission(path, &target)?;
                match self.resolve_folder(parent_folder(&target), path) {
                    // It cannot be replaced but can be overwritten.
                    Err(_) if refuses_new_files(parent_folder(&target)) => Ok(()),
                    folder => folder.map(|_| ()),
                }
            }
            ResolvedPath::Folder(target) if is_mount_point(&target) => Err(Error::file(
                path,
                "something is mounted there, so that the folder cannot be replaced; choose another place",
            )),
            ResolvedPath::Folder(target) => self
                .resolve_folder(parent_folder(&target), path)
                .map(|_| ()),
            ResolvedPath::Vacant(_) | ResolvedPath::Stream(_) => Ok(()),
        }
    }

    /// Registers the output at `path`.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is an input or another output.
    fn claim(&mut self, identity: FileIdentity, path: &Path) -> Result<()> {
        if let Some(input) = self.inputs.get(&identity) {
            let name = path.display();
            let by = match input == path {
                true => String::new(),
                false => format!(" ({})", input.display()),
            };
            return Err(Error::Usage(format!(
                "{name} is an input{by} and would be replaced; choose another place"
            )));
        }
        match self.taken.insert(identity, path.to_owned()) {
            None => Ok(()),
            Some(other) => Err(Error::Usage(match other == path {
                true => format!(
                    "{} is to be written twice; choose two names",
                    path.display()
                ),
                false => format!(
                    "{} and {} are one and the same; choose two outputs that are not",
                    other.display(),
                    path.display()
                ),
            })),
        }
    }

    /// Removes, once for each folder, unfinished files that killed runs left in `folder`.
    fn sweep(&mut self, folder: &Path) {
        if self.swept.insert(folder.to_owned()) {
            let is_input = |path: &Path| {
                FileIdentity::of_file(path).is_some_and(|file| self.inputs.contains_key(&file))
            };
            temporary::sweep_except(folder, is_input);
        }
    }

    /// The path of `folder` without links; checks once that files, such as the output `of`, can be created there.
    ///
    /// # Errors
    /// As [`check_folder`].
    fn resolve_folder(&mut self, folder: &Path, of: &Path) -> Result<PathBuf> {
        if let Some(known) = self.folders.get(folder) {
            return Ok(known.clone());
        }
        let real = check_folder(folder, of)?;
        self.sweep(folder);
        self.folders.insert(folder.to_owned(), real.clone());
        Ok(real)
    }
}

/// Checks the write permission of `target`, to which the output `path` resolves: a read-only file is never replaced,
/// although its folder would allow it.
fn check_permission(path: &Path, target: &Path) -> Result<()> {
    let refused = |why: &str| {
        Err(Error::file(
            path,
            format!("{why}; allow it (chmod u+w) or choose another name"),
        ))
    };
    let metadata = fs::metadata(target).map_err(|error| Error::io(path, &error))?;
    if metadata.permissions().readonly() {
        return refused("is read-only");
    }
    #[cfg(unix)]
    if rustix::fs::access(target, rustix::fs::Access::WRITE_OK).is_err() {
        return refused("may not be written by you");
    }
    Ok(())
}

/// Whether a path can only name a folder: it ends in a separator, `.` or `..`.
fn is_folder_name(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    let separator = |&c: &u8| std::path::is_separator(c.into());
    match bytes {
        [.., before, b'.'] if separator(before) => true,
        [.., last] => separator(last) || path.file_name().is_none(),
        [] => false,
    }
}

/// The error of an output that exists but is not of the kind `wanted`.
fn wrong_kind_error(path: &Path, wanted: OutputKind) -> Error {
    let why = match wanted {
        OutputKind::File => "is a folder, where a file is meant; add the name of the file",
        OutputKind::Folder => "is no folder, where one is meant; choose another place",
    };
    Error::Usage(format!("{}: {why}", path.display()))
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
#[path = "tests/registry.rs"]
mod tests;
