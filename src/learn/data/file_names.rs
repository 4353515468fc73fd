//! Names that mean one file although their bytes differ: Unicode's composed and decomposed forms (macOS writes the latter),
//! upper and lower case, and backslashes between folders.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

/// A name in composed form (NFC). Names that are no UTF-8 stay apart from all others.
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

/// Finds files by names that are spelt in another way, and remembers what lies in folders.
#[derive(Debug, Default)]
pub(super) struct FileFinder {
    listings: HashMap<PathBuf, Vec<OsString>>,
    /// Files that were found by another spelling: as named, and as they are.
    pub respelt: Vec<(PathBuf, PathBuf)>,
}

impl FileFinder {
    /// The file that `name` means, from `folder`; none where there is no such file or more than one.
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

    /// What to say about files that were found by another spelling, if there are any.
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
