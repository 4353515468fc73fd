//! Environment variables under one rule: an empty one counts as not set, and a path is made absolute.
//!
//! Functions that read settings take [`EnvVariables`], so that tests need not change the process's environment. The
//! variables of models and downloads are listed at [`weights`](crate::model::weights).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Removes every variable that is empty, so that libraries and started programs see it as not set too: with an empty
/// `HOME` or `TMPDIR` they would use the working folder.
///
/// To be called first thing in `main`, before any other thread exists.
#[allow(unsafe_code)] // Changing the environment.
pub fn unset_empty() {
    let names: Vec<OsString> = std::env::vars_os()
        .filter(|(_, value)| value.is_empty())
        .map(|(name, _)| name)
        .collect();
    for name in names {
        // SAFETY: no other thread runs yet that could read the environment, which is what the caller promises.
        unsafe { std::env::remove_var(name) };
    }
}

/// A setting and the environment variable that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvSetting<T> {
    /// Name of the variable.
    pub variable: &'static str,
    /// Its value.
    pub value: T,
}

/// The variables that are set and not empty.
#[derive(Debug, Clone, Default)]
pub struct EnvVariables(BTreeMap<OsString, OsString>);

impl EnvVariables {
    /// The variables of this process.
    pub fn from_process() -> Self {
        EnvVariables::from_pairs(std::env::vars_os())
    }

    /// The variables of a list of names and values, without the empty ones.
    pub fn from_pairs<N: Into<OsString>, V: Into<OsString>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        EnvVariables(
            pairs
                .into_iter()
                .map(|(name, value)| (key(name.into()), value.into()))
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        )
    }

    /// The raw value of `name`; `None` if it is not set or empty.
    pub fn os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(&key(name.into())).map(OsString::as_os_str)
    }

    /// The value of `name` without white space around it; `None` if nothing is left.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        let Some(value) = self.os(name) else {
            return Ok(None);
        };
        match value.to_str() {
            Some(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            None => Err(Error::Usage(format!(
                "{name} is no text in UTF-8; set it anew or unset it"
            ))),
        }
    }

    /// The first of `names` that is set, with its value as [`EnvVariables::text`] reads it; `None` if none is set.
    ///
    /// # Errors
    /// As [`EnvVariables::text`].
    pub fn first(&self, names: &[&'static str]) -> Result<Option<EnvSetting<&str>>> {
        for variable in names {
            if let Some(value) = self.text(variable)? {
                return Ok(Some(EnvSetting { variable, value }));
            }
        }
        Ok(None)
    }

    /// Whether `name` is `1`, `ON`, `YES` or `TRUE` in any case, by huggingface_hub's rule; every other value is false.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is not UTF-8.
    pub fn is_true(&self, name: &str) -> Result<bool> {
        Ok(self.text(name)?.is_some_and(is_true))
    }

    /// The path in `name`, absolute, with `~`, `$NAME` and `${NAME}` replaced as Python's `expanduser` and `expandvars`
    /// do. A `$NAME` that is not set stays as it is, except at the beginning, where it is an error; white space before
    /// a path that is absolute or begins with `~` or `$` is removed. `None` if `name` is not set or blank.
    ///
    /// # Errors
    /// [`Error::Usage`] if `~` or a `$NAME` at the beginning cannot be replaced: the path would otherwise be relative
    /// to the working folder.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>> {
        self.os(name)
            .filter(|value| value.to_str().is_none_or(|text| !text.trim().is_empty()))
            .map(|value| self.expand(name, value))
            .transpose()
    }

    /// As [`EnvVariables::path`], for the `value` of the variable `name`.
    ///
    /// # Errors
    /// As [`EnvVariables::path`].
    pub fn expand(&self, name: &str, value: &OsStr) -> Result<PathBuf> {
        let wrong = |why: &str| {
            Error::Usage(format!(
                "{name} is `{}`, {why}; write the whole path",
                value.display()
            ))
        };
        // A path that is not UTF-8 is taken as it is, as in Python.
        let expanded = match value.to_str() {
            None => PathBuf::from(value),
            Some(text) => {
                let text = trim_independent_path(text);
                let mut path = OsString::new();
                let mut rest = text;
                if let Some(below) = text.strip_prefix('~') {
                    if !below.is_empty() && !below.starts_with(std::path::is_separator) {
                        return Err(wrong("which names the home folder of another user"));
                    }
                    let home = self
                        .home()
                        .ok_or_else(|| wrong("and no home folder is known"))?;
                    path.push(home);
                    rest = below;
                }
                while let Some(at) = rest.find('$') {
                    path.push(&rest[..at]);
                    let after = &rest[at + 1..];
                    let Some((variable, length)) = reference(after) else {
                        path.push("$");
                        rest = after;
                        continue;
                    };
                    match self.os(variable) {
                        Some(value) => path.push(value),
                        // As in Python.
                        None if !path.is_empty() && !after.starts_with('{') => {
                            path.push(&rest[at..=at + length]);
                        }
                        None => return Err(wrong(&format!("and {variable} is not set"))),
                    }
                    rest = &after[length..];
                }
                path.push(rest);
                PathBuf::from(path)
            }
        };
        std::path::absolute(&expanded).map_err(|error| wrong(&format!("no path ({error})")))
    }

    /// The user's home folder: `HOME` (`USERPROFILE` on Windows), else from the system's user database; `None` if it is
    /// unknown or not absolute.
    pub fn home(&self) -> Option<PathBuf> {
        let home = match self.os(if cfg!(windows) { "USERPROFILE" } else { "HOME" }) {
            Some(home) => Some(PathBuf::from(home)),
            None => etcetera::home_dir().ok(),
        };
        home.filter(|home| home.is_absolute())
    }
}

/// The name as a key; in upper case on Windows, where names ignore case.
fn key(name: OsString) -> OsString {
    match cfg!(windows) {
        true => name.to_ascii_uppercase(),
        false => name,
    }
}

/// Whether `value` means yes, see [`EnvVariables::is_true`].
pub fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"]
        .iter()
        .any(|yes| value.eq_ignore_ascii_case(yes))
}

/// The variable named by the text behind a `$`, and the length of that reference in bytes.
fn reference(text: &str) -> Option<(&str, usize)> {
    if let Some(braced) = text.strip_prefix('{') {
        let end = braced.find('}')?;
        return Some((&braced[..end], end + 2));
    }
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], end))
}

/// Whether a path does not depend on the working folder: absolute, or beginning with `~` or `$`.
pub fn is_independent_path(path: &OsStr) -> bool {
    let text = path.to_string_lossy();
    is_independent_path_text(text.trim_start())
}

fn is_independent_path_text(text: &str) -> bool {
    Path::new(text).is_absolute() || text.starts_with(['~', '$'])
}

/// `text` without the white space before an independent path, which would make it a relative one.
fn trim_independent_path(text: &str) -> &str {
    let path = text.trim_start();
    if is_independent_path_text(path) {
        path
    } else {
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn variables() -> EnvVariables {
        EnvVariables::from_pairs([
            ("HOME", "/home/ada"),
            ("SCRATCH", "/scratch"),
            ("EMPTY", ""),
            ("BLANK", " \n"),
            ("TEXT", " some text\n"),
        ])
    }

    #[test]
    fn what_is_empty_is_not_set() {
        let variables = variables();
        assert_eq!(variables.os("EMPTY"), None);
        assert_eq!(variables.text("BLANK").unwrap(), None);
        assert_eq!(variables.text("TEXT").unwrap(), Some("some text"));
        let first = variables.first(&["EMPTY", "BLANK", "TEXT"]).unwrap();
        assert_eq!(first.unwrap().variable, "TEXT");
    }

    #[test]
    fn yes_is_said_as_huggingface_hub_documents_it() {
        for yes in ["1", "ON", "yes", "True"] {
            assert!(is_true(yes), "{yes}");
        }
        for no in ["0", "off", "y", "2", "enabled"] {
            assert!(!is_true(no), "{no}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn paths_are_expanded_as_python_does_and_never_left_to_the_working_folder() {
        let variables = variables();
        let expand = |value: &str| variables.expand("HF_HOME", OsStr::new(value));
        for (value, path) in [
            ("~", "/home/ada"),
            ("~/x", "/home/ada/x"),
            ("$SCRATCH/hf", "/scratch/hf"),
            ("${SCRATCH}hf", "/scratchhf"),
            ("/a/$/b~", "/a/$/b~"),
            ("/data/a$b", "/data/a$b"),
            ("/data/$SCRATCHED/x$é", "/data/$SCRATCHED/x$é"),
            ("$SCRATCH/a$b/c", "/scratch/a$b/c"),
            (" /hf", "/hf"),
            ("\t~/hf", "/home/ada/hf"),
        ] {
            assert_eq!(expand(value).unwrap(), Path::new(path), "{value}");
        }
        let here = std::env::current_dir().unwrap();
        assert_eq!(expand("hf").unwrap(), here.join("hf"));
        assert_eq!(expand("a b").unwrap(), here.join("a b"));
        assert_eq!(variables.path("BLANK").unwrap(), None);
        assert!(is_independent_path(OsStr::new(" /hf")) && !is_independent_path(OsStr::new(" hf")));
        for (value, why) in [
            ("$NOWHERE/hf", "NOWHERE is not set"),
            ("${EMPTY}/hf", "EMPTY is not set"),
            ("/a/${NOWHERE}/hf", "NOWHERE is not set"),
            ("~eve/hf", "of another user"),
        ] {
            let error = expand(value).unwrap_err().to_string();
            assert!(
                error.contains("HF_HOME is") && error.contains(why),
                "{error}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn text_that_is_none_is_an_error_and_a_path_of_any_bytes_is_none() {
        use std::os::unix::ffi::OsStrExt;
        let value = OsStr::from_bytes(b"/\xff");
        let variables = EnvVariables::from_pairs([("X", value)]);
        assert!(
            variables
                .text("X")
                .unwrap_err()
                .to_string()
                .contains("X is no text")
        );
        assert_eq!(variables.path("X").unwrap().unwrap(), Path::new(value));
    }
}
