//! The folder of installed heads, `heads/NAME.safetensors` in the store's folder, together with the heads inside the
//! program.
//!
//! An installed head hides a built-in one of its name.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::head::{Head, file};
use crate::model::head_zoo::{builtin, published};
use crate::model::weights::config::write_in_store;
use crate::model::weights::store_errors::{cannot_read, cannot_write};
use crate::terminal::suggest;

/// Where a head's file is; its publisher is in its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadLocation {
    /// Inside the program.
    Builtin,
    /// In the store's folder, at this path.
    Installed(PathBuf),
    /// In a file that the user named.
    File(PathBuf),
}

/// A head and where its file is.
#[derive(Debug, Clone, PartialEq)]
pub struct LocatedHead {
    /// Its metadata and its weights.
    pub head: Head,
    /// Where it was found.
    pub location: HeadLocation,
}

/// The heads installed in one store folder, and those inside the program.
#[derive(Debug, Clone)]
pub struct HeadStore {
    pub(super) root: PathBuf,
}

impl HeadStore {
    /// The heads of the store at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn folder(&self) -> PathBuf {
        self.root.join("heads")
    }

    /// The file in which a head called `name` is installed.
    ///
    /// # Errors
    /// If `name` has other characters than ASCII letters, digits, `-`, `_` and `.`, or begins with a dot.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(Error::Usage(format!(
                "`{name}` cannot be the name of a head; letters, digits, '-', '_' and '.' can be in it"
            )));
        }
        Ok(self.folder().join(format!("{name}.safetensors")))
    }

    /// All heads, sorted by name; those whose files are damaged are errors.
    ///
    /// # Errors
    /// If the folder exists but cannot be read.
    pub fn list(&self) -> Result<Vec<(String, Result<LocatedHead>)>> {
        let mut all: Vec<(String, Result<LocatedHead>)> = Vec::new();
        let folder = self.folder();
        match fs::read_dir(&folder) {
            Ok(entries) => {
                for entry in entries {
                    let path = entry.map_err(|e| Error::io(&folder, &e))?.path();
                    let stem = path
                        .file_stem()
                        .and_then(|stem| stem.to_str())
                        .map(str::to_owned);
                    if let Some(name) =
                        stem.filter(|_| path.extension().is_some_and(|e| e == "safetensors"))
                    {
                        let found = read(&path).map(|head| LocatedHead {
                            head,
                            location: HeadLocation::Installed(path.clone()),
                        });
                        all.push((name, found));
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot_read(&folder, &error)),
        }
        for (name, head) in builtin::all() {
            if all.iter().all(|(other, _)| other != name) {
                all.push((
                    name.to_owned(),
                    head.map(|head| LocatedHead {
                        head,
                        location: HeadLocation::Builtin,
                    }),
                ));
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    /// The head called `name`, or in the file `name`.
    ///
    /// # Errors
    /// If there is none; the message lists the heads that exist.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Result<LocatedHead> {
        let name = name.as_ref();
        let bytes = name.as_encoded_bytes();
        let has_separator = bytes.contains(&(std::path::MAIN_SEPARATOR as u8));
        if has_separator || bytes.ends_with(b".safetensors") {
            let path = PathBuf::from(name);
            return Ok(LocatedHead {
                head: read(&path)?,
                location: HeadLocation::File(path),
            });
        }
        // Names are ASCII, so that a replacement character of the conversion never matches one.
        let name: &str = &name.to_string_lossy();
        let path = self.path(name)?;
        if path.exists() {
            return Ok(LocatedHead {
                head: read(&path)?,
                location: HeadLocation::Installed(path),
            });
        }
        match builtin::all().find(|(builtin, _)| *builtin == name) {
            Some((_, head)) => Ok(LocatedHead {
                head: head?,
                location: HeadLocation::Builtin,
            }),
            None => {
                let names: Vec<String> = self.list()?.into_iter().map(|(name, _)| name).collect();
                Err(Error::Model(format!(
                    "there is no head called {name}{}; there are {}; a file needs its ending .safetensors",
                    match published::find(name) {
                        Some(_) => format!(" yet; `dino heads pull {name}` fetches it"),
                        None => suggest::did_you_mean(name, names.iter().map(String::as_str)),
                    },
                    if names.is_empty() {
                        "none yet".into()
                    } else {
                        names.join(", ")
                    }
                )))
            }
        }
    }

    /// Copies the head in the file `source` into the store, under its own name or under `name`.
    ///
    /// # Errors
    /// If the file is no head, the name is not valid (see [`HeadStore::path`]), or the store cannot be written.
    pub fn install(&self, source: &Path, name: Option<&str>) -> Result<PathBuf> {
        let mut head = read(source)?;
        if let Some(name) = name {
            head.meta.name = name.to_owned();
        }
        let path = self.path(&head.meta.name)?;
        let bytes = file::to_bytes(&head).map_err(|why| Error::file(source, why))?;
        write_in_store(&path, &bytes)?;
        Ok(path)
    }

    /// Deletes an installed head.
    ///
    /// # Errors
    /// If none of that name is installed; a head inside the program cannot be deleted.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        fs::remove_file(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if builtin::all().any(|(builtin, _)| builtin == name) => {
                Error::Usage(format!(
                    "{name} is inside the program and cannot be removed"
                ))
            }
            std::io::ErrorKind::NotFound => {
                Error::Model(format!("no head called {name} is installed"))
            }
            _ => cannot_write(&path, &error),
        })
    }
}

fn read(path: &Path) -> Result<Head> {
    let bytes = crate::system::files::pipe::read_whole(path)?;
    file::from_bytes(&bytes).map_err(|why| Error::file(path, why))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::head::file::tests::head;
    use crate::model::weights::config::UserConfig;

    fn store() -> (tempfile::TempDir, HeadStore) {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("made.safetensors");
        fs::write(&file, file::to_bytes(&head()).unwrap()).unwrap();
        let heads = HeadStore::at(root.path());
        heads.install(&file, None).unwrap();
        (root, heads)
    }

    #[test]
    fn installed_heads_are_found_listed_and_removed() {
        let (root, heads) = store();
        assert_eq!(heads.get("toy").unwrap().head, head());
        assert!(heads.list().unwrap().iter().any(|(name, _)| name == "toy"));
        let file = root.path().join("made.safetensors");
        assert!(matches!(
            heads.get(file.to_str().unwrap()).unwrap().location,
            HeadLocation::File(_)
        ));
        heads.remove("toy").unwrap();
        assert!(heads.remove("toy").unwrap_err().to_string().contains("toy"));
        assert!(
            heads
                .get("toy")
                .unwrap_err()
                .to_string()
                .contains("there is no head called toy")
        );
    }

    #[test]
    fn the_default_is_what_was_set() {
        let (root, heads) = store();
        let mut config = UserConfig::read(root.path()).unwrap();
        config.heads.insert("segment".into(), "toy".into());
        config.write(root.path()).unwrap();
        assert_eq!(heads.choose("segment", None).unwrap().head.meta.name, "toy");
        let error = heads
            .choose("depth", Some("toy".as_ref()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("`dino segment`"), "{error}");
    }

    #[test]
    fn names_that_are_paths_are_refused() {
        let (_root, heads) = store();
        for name in ["", "../x", ".hidden", "a b"] {
            assert!(heads.path(name).is_err(), "{name:?}");
        }
    }
}
