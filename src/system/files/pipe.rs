//! Files that a user names, which may be pipes: whoever waits for what comes out of one can be told to stop.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Error, Result};
use crate::system::files::temporary::scratch_file;
use crate::system::interrupt;

/// More than this comes out of no sensible pipe; one that never ends must not fill the memory.
pub const MAX_PIPE_BYTES: u64 = 2 << 30;

/// Reads all of a file that is no photo: a head, a basis, a list, a font.
///
/// # Errors
/// Names it, with the system's reason, or that more came out of a pipe than can be meant; [`Error::Interrupted`].
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

/// What is at the other end of the pipe at `path`; none where it is no pipe, but a file, a folder or nothing.
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

/// Reads the file at `path` with `read`, which gets a copy of what comes out where it is a pipe, since that can be read
/// but once.
///
/// # Errors
/// As [`read_whole`], and those of `read`, which name `path`; and if there is no room for the copy.
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

/// Reads `from` to its end, behind what was read of it before.
///
/// # Errors
/// The system's reason, or that it is more than `most` bytes.
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
