//! Temporary files and folders (`.dino-XXXXXX.part` beside outputs, `dino-tmp-XXXXXX.part` in the system's folder for
//! temporary files), and removal of those left behind by killed runs.
//!
//! Each is locked while its program runs. The system releases the lock however the program ends, so an unlocked one is
//! a leftover, also of another machine or container. On file systems without locks, nothing counts as a leftover.

use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::path::Path;

use tempfile::{NamedTempFile, TempDir};

/// Prefix of names in the folders of outputs, where they are hidden.
const HIDDEN_PREFIX: &str = ".dino-";

/// Prefix of names in the system's folder for temporary files: not hidden, since sandboxed programs that read them may
/// not see hidden files.
const VISIBLE_PREFIX: &str = "dino-tmp-";

/// Suffix of all names.
const SUFFIX: &str = ".part";

/// Number of random letters between prefix and suffix.
const LETTERS: usize = 6;

/// A name of the same length as those beside outputs, for checks of path lengths.
pub(crate) const SAMPLE_NAME: &str = ".dino-123456.part";

/// Maximum number of attempts: another program may remove a new file as a leftover before it is locked.
const ATTEMPTS: usize = 8;

/// Makes a temporary file in `folder`, with the permissions of an ordinary new file.
///
/// # Errors
/// The system's.
pub(crate) fn file_in(folder: &Path) -> io::Result<NamedTempFile> {
    retry(|| {
        let mut builder = builder(HIDDEN_PREFIX);
        // `tempfile` makes private files by default; an output follows the umask.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder)?;
        Ok(lock_new(file.as_file(), file.path()).then_some(file))
    })
}

/// Makes a file in the system's folder for temporary files, readable by its owner alone.
///
/// # Errors
/// The system's.
pub fn scratch_file() -> io::Result<NamedTempFile> {
    let folder = std::env::temp_dir();
    sweep(&folder);
    retry(|| {
        let file = builder(VISIBLE_PREFIX).tempfile_in(&folder)?;
        Ok(lock_new(file.as_file(), file.path()).then_some(file))
    })
}

/// Makes a folder in the system's folder for temporary files, readable by its owner alone.
///
/// # Errors
/// The system's.
pub fn scratch_folder() -> io::Result<TemporaryFolder> {
    let parent = std::env::temp_dir();
    sweep(&parent);
    retry(|| TemporaryFolder::new(builder(VISIBLE_PREFIX).tempdir_in(&parent)?))
}

/// Makes a temporary folder in `parent`, with the permissions of an ordinary new folder.
///
/// # Errors
/// The system's.
pub(crate) fn folder_in(parent: &Path) -> io::Result<TemporaryFolder> {
    retry(|| {
        let mut builder = builder(HIDDEN_PREFIX);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        TemporaryFolder::new(builder.tempdir_in(parent)?)
    })
}

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub struct TemporaryFolder {
    folder: TempDir,
    /// Held until this is dropped.
    _lock: Option<File>,
}

impl TemporaryFolder {
    /// Locks the folder; `None` if another program has removed it as a leftover.
    fn new(folder: TempDir) -> io::Result<Option<Self>> {
        // Some systems cannot open folders; there it is not locked, and stays if its program is killed.
        let lock = File::open(folder.path()).ok();
        let is_held = lock
            .as_ref()
            .is_none_or(|lock| lock_new(lock, folder.path()));
        Ok(is_held.then_some(TemporaryFolder {
            folder,
            _lock: lock,
        }))
    }

    /// Keeps the folder, which is then no longer removed.
    pub(crate) fn keep(self) {
        let _ = self.folder.keep();
    }
}

impl Deref for TemporaryFolder {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.folder.path()
    }
}

/// A builder of names with `prefix`.
fn builder(prefix: &'static str) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(SUFFIX).rand_bytes(LETTERS);
    builder
}

/// Calls `one` until the file or folder that it makes still exists after locking.
fn retry<T>(one: impl Fn() -> io::Result<Option<T>>) -> io::Result<T> {
    for _ in 0..ATTEMPTS {
        if let Some(made) = one()? {
            return Ok(made);
        }
    }
    Err(io::Error::other(
        "unfinished files disappear as soon as they are made",
    ))
}

/// Locks a new file, and returns whether it is still at `path`.
fn lock_new(file: &File, path: &Path) -> bool {
    match file.lock() {
        Ok(()) => is_same_file(file, path),
        // Without locks, no program takes it for a leftover.
        Err(_) => true,
    }
}

/// Removes the temporary files and folders in `folder` whose programs have ended. What cannot be removed is left.
pub fn sweep(folder: &Path) {
    sweep_except(folder, |_| false);
}

/// As [`sweep`], but keeps the paths for which `is_wanted` is true.
pub(crate) fn sweep_except(folder: &Path, is_wanted: impl Fn(&Path) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(is_temporary_name);
        let kind = entry.file_type();
        if !is_ours || !kind.is_ok_and(|kind| kind.is_file() || kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        if is_wanted(&path) {
            continue;
        }
        let Ok(file) = File::open(&path) else {
            continue;
        };
        if file.try_lock().is_err() || !is_same_file(&file, &path) {
            continue;
        }
        let _ = match file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
    }
}

/// Whether `name` has the form of a temporary name of this program.
fn is_temporary_name(name: &str) -> bool {
    let letters = name
        .strip_prefix(HIDDEN_PREFIX)
        .or_else(|| name.strip_prefix(VISIBLE_PREFIX))
        .and_then(|rest| rest.strip_suffix(SUFFIX));
    letters.is_some_and(|letters| {
        letters.len() == LETTERS && letters.bytes().all(|c| c.is_ascii_alphanumeric())
    })
}

/// Whether `file` is the one at `path`.
#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(own), Ok(there)) => id(own) == id(there),
        _ => false,
    }
}

/// Whether there is a file at `path`: on this system, open files cannot be removed.
#[cfg(not(unix))]
fn is_same_file(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_long_as_they_are_planned() {
        let folder = tempfile::tempdir().unwrap();
        let file = file_in(folder.path()).unwrap();
        let name = file.path().file_name().unwrap().to_str().unwrap();
        assert!(
            is_temporary_name(name) && name.len() == SAMPLE_NAME.len(),
            "{name}"
        );
        for other in [
            ".dino-12345.part",
            "dino-photos.part",
            ".dino-123456.tmp",
            "dino-tmp-1234.6.part",
        ] {
            assert!(!is_temporary_name(other), "{other}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_nobody_holds_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let held = file_in(folder.path()).unwrap();
        let held_folder = folder_in(folder.path()).unwrap();
        fs::write(held_folder.join("mask.png"), "half").unwrap();
        fs::write(at(".dino-abcdef.part"), "half").unwrap();
        fs::create_dir(at("dino-tmp-fedcba.part")).unwrap();
        fs::write(at("dino-tmp-fedcba.part/mask.png"), "half").unwrap();
        for others in ["photo.jpg", ".dino-abcdef.part.jpg", "dino-holiday.part"] {
            fs::write(at(others), "a user's").unwrap();
        }
        std::os::unix::fs::symlink(at("photo.jpg"), at(".dino-linked.part")).unwrap();
        sweep(folder.path());
        assert!(held.path().exists() && held_folder.join("mask.png").exists());
        assert!(!at(".dino-abcdef.part").exists() && !at("dino-tmp-fedcba.part").exists());
        for others in [
            "photo.jpg",
            ".dino-abcdef.part.jpg",
            "dino-holiday.part",
            ".dino-linked.part",
        ] {
            assert!(at(others).exists(), "{others}");
        }
        let (path, folder) = (held.path().to_owned(), held_folder.to_path_buf());
        drop((held, held_folder));
        assert!(!path.exists() && !folder.exists());
    }
}
