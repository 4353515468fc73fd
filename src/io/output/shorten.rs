//! Shortens names that are too long for a file system once a suffix is appended: the rest is replaced by a hash of the
//! whole path.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::io::output::folder::nearest_existing;

/// Length of a name, in bytes, that every file system accepts; eCryptfs accepts 143, most accept 255.
const ALWAYS_FITS: usize = 100;

/// The relative path `name`, shortened so that the file system of `folder` accepts it with `tail` more bytes at its
/// end; `None` if it fits as it is.
///
/// The result is the same in every run, and different names stay different.
///
/// # Errors
/// If `folder` lies below something that is not a folder.
pub fn shorten_name(folder: &Path, name: &Path, tail: usize) -> Result<Option<PathBuf>> {
    let parts: Vec<&OsStr> = name.iter().collect();
    let room_for = |index: usize| if index + 1 == parts.len() { tail } else { 0 };
    let is_short = |(index, part): (usize, &&OsStr)| part.len() + room_for(index) <= ALWAYS_FITS;
    if parts.iter().enumerate().all(is_short) {
        return Ok(None);
    }
    let (nearest, _) = nearest_existing(folder)?;
    let mut whole = PathBuf::new();
    let mut short = PathBuf::new();
    for (index, part) in parts.iter().enumerate() {
        whole.push(part);
        let fits = |name: &OsStr| {
            let mut name = name.to_owned();
            name.push("x".repeat(room_for(index)));
            accepts_name(&nearest, &name)
        };
        short.push(match fits(part) {
            true => (*part).to_owned(),
            false => cut_with_hash(part, &whole, fits),
        });
    }
    Ok((short != name).then_some(short))
}

/// Whether the file system of `folder` accepts a file name as long as `name`.
fn accepts_name(folder: &Path, name: &OsStr) -> bool {
    !fs::symlink_metadata(folder.join(name))
        .is_err_and(|error| error.kind() == ErrorKind::InvalidFilename)
}

/// As much of the start of `part` as fits, then `~` and ten hex digits of the SHA-256 of `whole`.
fn cut_with_hash(part: &OsStr, whole: &Path, fits: impl Fn(&OsStr) -> bool) -> OsString {
    let digest = Sha256::digest(whole.as_os_str().as_encoded_bytes());
    let hash: String = digest
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let shortened = |length: usize| {
        let mut name = char_prefix(part, length);
        name.push(format!("~{hash}"));
        name
    };
    let (mut most, mut too_many) = (0, part.len());
    while too_many - most > 1 {
        let middle = (most + too_many) / 2;
        match fits(&shortened(middle)) {
            true => most = middle,
            false => too_many = middle,
        }
    }
    shortened(most)
}

/// The first `length` bytes of `name`, or a few less, so that no UTF-8 sequence is cut in two.
#[cfg(unix)]
fn char_prefix(name: &OsStr, length: usize) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    let bytes = name.as_bytes();
    let goes_on = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    // A UTF-8 sequence has at most three continuation bytes; more are not UTF-8.
    let back = (0..4).find(|&back| back > length || !goes_on(length - back));
    OsStr::from_bytes(&bytes[..length - back.unwrap_or(0).min(length)]).to_owned()
}

/// The first `length` bytes of `name` as text, or a few less, so that no character is cut in two.
#[cfg(not(unix))]
fn char_prefix(name: &OsStr, length: usize) -> OsString {
    let text = name.to_string_lossy();
    let end = (0..=length.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    text[..end.unwrap_or(0)].into()
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    fn short(name: &[u8], tail: usize) -> Option<PathBuf> {
        let folder = tempfile::tempdir().unwrap();
        shorten_name(
            &folder.path().join("not/yet"),
            Path::new(OsStr::from_bytes(name)),
            tail,
        )
        .unwrap()
    }

    #[test]
    fn what_fits_is_left_alone() {
        assert_eq!(short(b"a/b", 30), None);
        assert_eq!(short(&[b'n'; 225], 30), None);
    }

    #[test]
    fn what_does_not_fit_fills_the_room_and_ends_in_a_hash() {
        let name = short(&[b'n'; 226], 30).unwrap();
        assert_eq!(name.as_os_str().len(), 225);
        assert!(name.to_str().unwrap().starts_with("nnnn"));
        assert_eq!(name, short(&[b'n'; 226], 30).unwrap());
        let (text, hash) = name.to_str().unwrap().split_once('~').unwrap();
        assert_eq!((text.len(), hash.len()), (214, 10));
    }

    #[test]
    fn names_that_differ_at_their_ends_or_in_their_folders_stay_distinct() {
        let long = "n".repeat(249);
        let names: Vec<_> = ["a/", "b/"]
            .iter()
            .flat_map(|folder| ["1", "2"].map(|end| format!("{folder}{long}{end}")))
            .map(|name| short(name.as_bytes(), 30).unwrap())
            .map(|name| name.file_name().unwrap().to_owned())
            .collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn no_letter_is_cut_in_two_and_what_is_no_text_is_cut_anywhere() {
        for at in 0..4 {
            let name = format!("{}{}", "x".repeat(at), "日".repeat(84));
            let name = short(name.as_bytes(), 30).unwrap();
            let text = name.to_str().unwrap();
            let letters = text.split_once('~').unwrap().0;
            assert!((210..=214).contains(&letters.len()), "{}", letters.len());
        }
        let name = short(&[0x80; 250], 30).unwrap();
        assert_eq!(name.as_os_str().len(), 225);
    }
}
