//! All outputs of a run, looked at before any work is done: whether they can be written, and whether one of them would
//! replace an input or another output.

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

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// One file.
    File,
    /// A folder that is filled.
    Folder,
}

/// The outputs of a run so far, and the inputs that they must not replace.
#[derive(Debug, Clone, Default)]
pub struct OutputRegistry {
    inputs: HashMap<FileIdentity, PathBuf>,
    taken: HashMap<FileIdentity, PathBuf>,
    /// Folders that can be written, with their paths without links.
    folders: HashMap<PathBuf, PathBuf>,
    /// Folders in which what killed runs left was looked for.
    swept: HashSet<PathBuf>,
}

impl OutputRegistry {
    /// None yet, of a run that reads `inputs`; those that are no regular files cannot be replaced.
    pub fn new<'p>(inputs: impl IntoIterator<Item = &'p Path>) -> Self {
        let inputs = inputs
            .into_iter()
            .filter_map(|path| Some((FileIdentity::of_file(path)?, path.to_owned())));
        OutputRegistry {
            inputs: inputs.collect(),
            ..OutputRegistry::default()
        }
    }

    /// Forgets which files are read and which are written, once all outputs are known: a path each is much for a million.
    pub fn forget_paths(&mut self) {
        self.inputs = HashMap::new();
        self.taken = HashMap::new();
    }

    /// Protects more files than the inputs: what a run reads beside them.
    pub fn protect<'p>(&mut self, paths: impl IntoIterator<Item = &'p Path>) {
        let read = paths
            .into_iter()
            .filter_map(|path| Some((FileIdentity::of_file(path)?, path.to_owned())));
        self.inputs.extend(read);
    }

    /// Where the output that `flag` names goes, which is `-` for stdout.
    ///
    /// # Errors
    /// As [`OutputRegistry::add`]; [`Error::Usage`] if there is a file already that `force` does not replace.
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

    /// Where an output goes: to `path`, unless it is there already and `force` does not replace it. What is no regular
    /// file is never "there already": it is written into.
    ///
    /// # Errors
    /// Names the output if it is an input, goes where another one goes, is of the wrong kind, or cannot be written.
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

    /// Whether the file or folder that is at `path` can be replaced.
    ///
    /// # Errors
    /// Names it if it cannot.
    pub fn check_replaceable(&mut self, path: &Path) -> Result<()> {
        match ResolvedPath::resolve(path)? {
            ResolvedPath::File(target) => {
                check_permission(path, &target)?;
                match self.resolve_folder(parent_folder(&target), path) {
                    // It cannot be replaced, but written.
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

    /// Takes the place for the output at `path`.
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

    /// Removes once what killed runs left in `folder`.
    fn sweep(&mut self, folder: &Path) {
        if self.swept.insert(folder.to_owned()) {
            let is_input = |path: &Path| {
                FileIdentity::of_file(path).is_some_and(|file| self.inputs.contains_key(&file))
            };
            temporary::sweep_except(folder, is_input);
        }
    }

    /// The path without links of the folder in which the output `of` is to be made, which can be written.
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

/// Whether what is at `target`, for the output `path`, may be written: a file that is marked as read-only stays, though
/// its folder would let it be replaced.
fn check_permission(path: &Path, target: &Path) -> Result<()> {
    let refused = |why: &str| {
        Err(Error::file(
            path,
            format!("{why}; allow it (chmod u+w) or choose another name"),
        ))
    };
    let met = fs::metadata(target).map_err(|error| Error::io(path, &error))?;
    if met.permissions().readonly() {
        return refused("is read-only");
    }
    #[cfg(unix)]
    if rustix::fs::access(target, rustix::fs::Access::WRITE_OK).is_err() {
        return refused("may not be written by you");
    }
    Ok(())
}

/// Whether a path can only be that of a folder.
fn is_folder_name(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    let separator = |&c: &u8| std::path::is_separator(c.into());
    match bytes {
        [.., before, b'.'] if separator(before) => true,
        [.., last] => separator(last) || path.file_name().is_none(),
        [] => false,
    }
}

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
