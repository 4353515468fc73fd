//! Names that mean the same file although their bytes differ: Unicode's composed and decomposed forms (NFC and NFD;
//! macOS writes the latter), upper and lower case, and backslashes between folders.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

/// A name in composed form (NFC). A name that is no UTF-8 gets a form that no other name has.
pub(super) fn composed(name: &OsStr) -> String {
    match name.to_str() {
        Some(text) => text.nfc().collect(),
        None => {
            let bytes = name.as_encoded_bytes().iter();
            let chars = bytes.map(|&byte| char::from(byte));
            std::iter::once('\0').chain(chars).collect()
        }
    }
}

/// A composed name without differences of case.
pub(super) fn folded(name: &str) -> String {
    name.to_lowercase().nfc().collect()
}

/// Finds files by names in another spelling, and caches the listings of folders.
#[derive(Debug, Default)]
pub(super) struct FileFinder {
    listings: HashMap<PathBuf, Vec<OsString>>,
    /// Files that were found under another spelling: the path as named, and the path that exists.
    pub respelt: Vec<(PathBuf, PathBuf)>,
}

impl FileFinder {
    /// The file that `name` means, relative to `folder`; none where no file has such a name, or several have.
    pub fn find(&mut self, folder: &Path, name: &str) -> Option<PathBuf> {
        let path = folder.join(name);
        if path.is_file() {
            return Some(path);
        }
        let slashed = name.replace('\\', "/");
        let other = folder.join(&slashed);
        if slashed != name && other.is_file() {
            return Some(other);
        }
        let found = self.find_respelt(&other)?;
        self.respelt.push((path, found.clone()));
        Some(found)
    }

    /// The one file at `path` but for case and Unicode form.
    fn find_respelt(&mut self, path: &Path) -> Option<PathBuf> {
        let mut found = PathBuf::new();
        for component in path.components() {
            let Component::Normal(name) = component else {
                found.push(component);
                continue;
            };
            if found.join(name).exists() {
                found.push(name);
                continue;
            }
            let entries = self.listings.entry(found.clone()).or_insert_with(|| {
                let folder = match found.as_os_str().is_empty() {
                    true => Path::new("."),
                    false => &found,
                };
                let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
                entries.map(|entry| entry.file_name()).collect()
            });
            let name = composed(name);
            let only = |same: &dyn Fn(&str) -> bool| {
                let mut matching = entries.iter().filter(|entry| same(&composed(entry)));
                matching.next().filter(|_| matching.next().is_none())
            };
            let own = only(&|entry| entry == name)
                .or_else(|| only(&|entry| folded(entry) == folded(&name)))?;
            found.push(own.clone());
        }
        found.is_file().then_some(found)
    }

    /// A sentence about files that were found under another spelling; none where there are none.
    pub fn remark(&self) -> Option<String> {
        let (named, found) = self.respelt.first()?;
        Some(format!(
            "takes files that are spelt otherwise (in case or Unicode form): {}, such as {} for {}",
            self.respelt.len(),
            found.display(),
            named.display()
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::learn::data::open::tests::touch;

    #[test]
    fn other_spellings_are_found_if_there_is_one() {
        let root = tempfile::tempdir().unwrap();
        touch(
            root.path(),
            &["Images/Zu\u{308}rich.JPG", "b/x.png", "b/X.png"],
        );
        let mut finder = FileFinder::default();
        let mut find = |name: &str| {
            let found = finder.find(root.path(), name)?;
            Some(
                found
                    .strip_prefix(root.path())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
            )
        };
        assert_eq!(find("b\\x.png").as_deref(), Some("b/x.png"));
        assert_eq!(
            find("images/Z\u{fc}rich.jpg").as_deref(),
            Some("Images/Zu\u{308}rich.JPG")
        );
        // Not found where two would do.
        assert_eq!(find("b/x.PNG"), None);
        assert_eq!(find("b/y.png"), None);
        let said = finder.remark().unwrap();
        assert!(
            said.contains(": 1, such as") && said.contains("rich.JPG for"),
            "{said}"
        );
    }
}
