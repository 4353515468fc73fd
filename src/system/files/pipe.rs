//! Reading of files that a user names and that may be pipes, such as `<(program)`: waiting for a pipe can be
//! interrupted.
//!
//! A pipe can be read only once and states no length, so its content is read up to a limit or copied to a temporary
//! file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Error, Result};
use crate::system::files::temporary::scratch_file;
use crate::system::interrupt;

/// Maximum number of bytes read from a pipe, so that an endless one does not exhaust memory.
pub const MAX_PIPE_BYTES: u64 = 2 << 30;

/// Reads all of a file other than a photo: a head, a basis, a list, a font.
///
/// # Errors
/// [`Error::File`] names it, with the system's reason, or if more than [`MAX_PIPE_BYTES`] come out of a pipe;
/// [`Error::Interrupted`].
pub fn read_whole(path: &Path) -> Result<Vec<u8>> {
    let read = match path.is_file() {
        true => std::fs::read(path),
        false => {
            let owned = path.to_owned();
            interrupt::wait_for(move || read_to(File::open(owned)?, Vec::new(), MAX_PIPE_BYTES))?
        }
    };
    read.map_err(|error| Error::io(path, &error))
}

/// Opens the pipe at `path`, waiting for its writer; `None` if `path` is a regular file, a folder or missing.
///
/// # Errors
/// As [`read_whole`].
pub fn open(path: &Path) -> Result<Option<File>> {
    if path.is_file() || path.is_dir() || !path.exists() {
        return Ok(None);
    }
    let owned = path.to_owned();
    let opened = interrupt::wait_for(move || File::open(owned))?;
    opened.map(Some).map_err(|error| Error::io(path, &error))
}

/// Reads the file at `path` by `read`. A pipe, which can be read only once, is copied to a temporary file first, whose
/// path `read` gets.
///
/// # Errors
/// As [`read_whole`], and those of `read`, which then name `path`; and if the copy does not fit on the disk.
pub fn with_file<T>(path: &Path, read: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let Some(mut pipe) = open(path)? else {
        return read(path);
    };
    let copied = interrupt::wait_for(move || {
        let mut file = scratch_file()?;
        io::copy(&mut pipe, &mut file)?;
        Ok(file)
    })?;
    let copy = copied.map_err(|error: io::Error| Error::io(path, &error))?;
    read(copy.path()).map_err(|error| match error {
        Error::File {
            path: named,
            reason: why,
            fault,
        } if named == copy.path() => Error::file_with_fault(path, why, fault),
        other => other,
    })
}

/// Reads `from` to its end and appends it to `bytes`, which were read from it before.
///
/// # Errors
/// The system's, or if it is more than `most` bytes altogether.
pub(crate) fn read_to(from: impl Read, mut bytes: Vec<u8>, most: u64) -> io::Result<Vec<u8>> {
    let before = bytes.len() as u64;
    from.take((most + 1).saturating_sub(before))
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(io::Error::other(format!(
            "more than {:.1} GB arrived, which is more than can be kept; give fewer or smaller images at a time",
            most as f64 / 1e9
        ))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_given_up() {
        let error = read_to(io::repeat(7), vec![1, 2], 1 << 20).unwrap_err();
        assert!(error.to_string().contains("more than 0.0 GB"), "{error}");
        assert_eq!(read_to(&b"34"[..], b"12".to_vec(), 4).unwrap(), b"1234");
        assert!(read_to(&b"345"[..], b"12".to_vec(), 4).is_err());
    }
}
