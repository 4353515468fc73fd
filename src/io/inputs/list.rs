//! Lists of inputs (`--files-from`): one name per line, or names terminated by NUL; names are taken literally, without
//! patterns.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::inputs::sniff::{self, FileKind};
use crate::system::files::pipe;
use crate::system::interrupt;

/// What separates the names of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Separator {
    /// A line feed, or carriage return and line feed.
    #[default]
    Line,
    /// A NUL byte, as `find -print0` writes it.
    Nul,
}

/// A name of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ListEntry {
    /// Its line number, or its position among NUL-terminated names, counted from 1.
    pub number: usize,
    /// The file, folder or address.
    pub path: PathBuf,
}

/// The name of the list at `path` in messages: `<stdin>` for `-`.
pub(super) fn display_name(path: &Path) -> &Path {
    match path.as_os_str() == "-" {
        true => Path::new("<stdin>"),
        false => path,
    }
}

/// Reads the names of the list at `path`, or of standard input for `-`. Empty lines are ignored.
///
/// # Errors
/// Names the list that cannot be read, has no names, has the other separator, or is a picture, a clip or a tar;
/// [`Error::Interrupted`] while a pipe is waited for.
pub(super) fn read(path: &Path, separator: Separator) -> Result<Vec<ListEntry>> {
    let bytes = match path.as_os_str() == "-" {
        true => {
            let read = || pipe::read_to(io::stdin().lock(), Vec::new(), pipe::MAX_PIPE_BYTES);
            interrupt::wait_for(read)?.map_err(|error| Error::io(display_name(path), &error))?
        }
        false => pipe::read_whole(path)?,
    };
    parse(&bytes, separator).map_err(|why| Error::file(display_name(path), why))
}

/// The names in the bytes of a list.
///
/// # Errors
/// Why the bytes are no list, as a part of a sentence about it.
fn parse(bytes: &[u8], separator: Separator) -> Result<Vec<ListEntry>, String> {
    let other_kind = match sniff::identify_bytes(bytes) {
        FileKind::Image(_)
        | FileKind::OwnPicture
        | FileKind::Foreign(_)
        | FileKind::UnsupportedPicture(_) => Some("is a picture"),
        FileKind::Clip(_) => Some("is a video clip"),
        FileKind::Tar => Some("is a tar archive"),
        FileKind::Other if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") => {
            return Err("is a list in UTF-16; save it as UTF-8".into());
        }
        FileKind::Other => None,
    };
    if let Some(kind) = other_kind {
        return Err(format!(
            "{kind}, where a list of names is meant; give it as INPUT"
        ));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (has_nul, has_line) = (bytes.contains(&0), bytes.contains(&b'\n'));
    let (end, has_other_separator) = match separator {
        Separator::Line => (b'\n', has_nul),
        Separator::Nul => (0, has_line && !has_nul),
    };
    if has_other_separator {
        return Err(match separator {
            Separator::Line => {
                "has NUL bytes, as no list of lines has; -0 reads names that NULs end"
            }
            Separator::Nul => "has lines, and no NUL between its names; leave -0 out",
        }
        .into());
    }
    let mut names = Vec::new();
    for (index, name) in bytes.split(|&byte| byte == end).enumerate() {
        let name = match separator {
            Separator::Line => name.strip_suffix(b"\r").unwrap_or(name),
            Separator::Nul => name,
        };
        let is_blank = match separator {
            Separator::Line => name.trim_ascii().is_empty(),
            Separator::Nul => name.is_empty(),
        };
        if is_blank {
            continue;
        }
        let number = index + 1;
        let path = path_from_bytes(name).ok_or_else(|| format!("line {number} is no UTF-8"))?;
        names.push(ListEntry { number, path });
    }
    match names.is_empty() {
        true => Err("is a list without any names".into()),
        false => Ok(names),
    }
}

/// The path with these bytes: any bytes on Unix, elsewhere only UTF-8.
#[cfg(unix)]
fn path_from_bytes(name: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(OsString::from_vec(name.to_owned()).into())
}

#[cfg(not(unix))]
fn path_from_bytes(name: &[u8]) -> Option<PathBuf> {
    let text = std::str::from_utf8(name).ok()?;
    Some(OsString::from(text).into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(bytes: &[u8], separator: Separator) -> Vec<(usize, String)> {
        let names = parse(bytes, separator).unwrap().into_iter();
        names
            .map(|name| (name.number, name.path.to_string_lossy().into_owned()))
            .collect()
    }

    #[test]
    fn a_name_stands_on_each_line_as_it_is() {
        let list = b"\xef\xbb\xbfa b.jpg\r\n\n  \r\n c*.png \nd/e.jpg";
        let expected = [(1, "a b.jpg"), (4, " c*.png "), (5, "d/e.jpg")];
        let expected = expected.map(|(number, name)| (number, name.to_owned()));
        assert_eq!(names(list, Separator::Line), expected);
    }

    #[test]
    fn names_that_nuls_end_may_have_lines() {
        let expected = [(1, "a\nb\r".to_owned()), (3, "c".to_owned())];
        assert_eq!(names(b"a\nb\r\0\0c\0", Separator::Nul), expected);
        assert_eq!(names(b"c", Separator::Nul), [(1, "c".to_owned())]);
    }

    #[cfg(unix)]
    #[test]
    fn names_need_not_be_text() {
        use std::os::unix::ffi::OsStrExt;
        let names = parse(b"caf\xe9.jpg\n", Separator::Line).unwrap();
        assert_eq!(names[0].path.as_os_str().as_bytes(), b"caf\xe9.jpg");
    }

    #[test]
    fn what_is_no_list_is_refused_with_the_way_out() {
        let refused = |bytes: &[u8], separator| parse(bytes, separator).unwrap_err();
        assert!(refused(b"", Separator::Line).contains("without any names"));
        assert!(refused(b"\r\n \n", Separator::Line).contains("without any names"));
        assert!(refused(b"\0\0", Separator::Nul).contains("without any names"));
        assert!(refused(b"a\0b\0", Separator::Line).contains("-0 reads"));
        assert!(refused(b"a\nb\n", Separator::Nul).contains("leave -0 out"));
        assert!(refused(b"\xff\xfea\0\n\0", Separator::Line).contains("UTF-16"));
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        assert!(refused(png, Separator::Line).contains("is a picture"));
        assert!(refused(png, Separator::Nul).contains("is a picture"));
    }
}
