//! Files that appear complete or not at all: a temporary file beside the destination, renamed when it is finished.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::interrupt::Unfinished;

/// Writes `path` through `write`, making its folder if need be. A failure leaves nothing behind, and what was at
/// `path` before stays.
///
/// # Errors
/// Names the path (or the folder that could not be made) with the system's reason.
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(|error| Error::io(folder, &error))?;
    write_beside(folder, path, write).map_err(|error| Error::io(path, &error))
}

fn write_beside(
    folder: &Path,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".dino-").suffix(".part");
    // A temporary file is private by default; the finished one follows the umask as any other does.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder)?;
    let _unfinished = Unfinished::new(file.path());
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Fills the folder `path` through `fill`, which gets the folder to write to. It appears when it is complete, in place
/// of any that was there before; a failure leaves the old one.
///
/// # Errors
/// What `fill` returns, or the path with the system's reason.
pub fn write_folder_atomic(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|error| Error::io(parent, &error))?;
    let failed = |error: io::Error| Error::io(path, &error);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".dino-").suffix(".part");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let folder = builder.tempdir_in(parent).map_err(failed)?;
    let _unfinished = Unfinished::new(folder.path());
    fill(folder.path())?;
    if path.is_dir() {
        fs::remove_dir_all(path).map_err(failed)?;
    }
    fs::rename(folder.path(), path).map_err(failed)?;
    // It has another name now, and nothing is left to be deleted.
    let _ = folder.keep();
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn folders_are_made_and_the_content_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c.txt");
        write_atomic(&path, |w| w.write_all(b"all of it")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"all of it");
        assert_eq!(names(path.parent().unwrap()), ["c.txt"]);
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.txt");
        fs::write(&path, "old").unwrap();
        let error = write_atomic(&path, |w| {
            w.write_all(b"half of")?;
            Err(io::Error::from_raw_os_error(28))
        });
        assert!(
            error
                .unwrap_err()
                .to_string()
                .ends_with("kept.txt: no space left on device")
        );
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["kept.txt"]);
    }

    #[test]
    fn a_folder_appears_complete_and_replaces_the_old_one() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("x/masks");
        let fill = |name: &'static str| {
            move |folder: &Path| write_atomic(&folder.join(name), |w| w.write_all(b"1"))
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

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write_atomic(&file.join("below/x.txt"), |_| Ok(()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("below: not a directory"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn finished_files_are_as_readable_as_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (plain, ours) = (folder.path().join("plain"), folder.path().join("ours"));
        fs::write(&plain, "").unwrap();
        write_atomic(&ours, |_| Ok(())).unwrap();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
