//! Where heads come from: those inside the program, those a user installed or fetched from their publisher, and files.
//!
//! Installed heads are `heads/<name>.safetensors` in the store's folder; an installed head hides a built-in one of
//! its name. Which head a task uses is one rule, [`HeadStore::choose`]. Beside a head for depth may lie what `dino calibrate`
//! fitted: [`calibration`].

pub mod builtin;
pub mod calibration;
pub mod convert;
pub mod depth_anything;
pub mod fetch;
pub mod official;
pub mod published;
pub mod scene;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::head::{Head, file};
use crate::model::weights::config::{UserConfig, write_in_store};
use crate::model::weights::store_errors::{cannot_read, cannot_write};
use crate::model::weights::{Store, WeightsPolicy};
use crate::system::environment::EnvVariables;
use crate::terminal::suggest;
use official::OfficialHead;

pub use crate::model::weights::config::TASKS;
pub use calibration::DepthCalibration;

/// Backbones with published heads, for messages.
const REG_OR_PLAIN: &str =
    "vits14, vitb14, vitl14 or vitg14, or one of them with -reg for classifiers";

/// Where a head was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadLocation {
    /// Inside the program.
    Builtin,
    /// In the store's folder.
    Installed(PathBuf),
    /// In a file that the user named.
    File(PathBuf),
}

/// A head and where it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct LocatedHead {
    /// The head.
    pub head: Head,
    /// Its place.
    pub location: HeadLocation,
}

/// Heads of one store folder and those inside the program.
#[derive(Debug, Clone)]
pub struct HeadStore {
    root: PathBuf,
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
    /// If `name` is no plain name.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(Error::Usage(format!(
                "`{name}` cannot be the name of a head; letters, digits, '-', '_' and '.' can be in it"
            )));
        }
        Ok(self.folder().join(format!("{name}.safetensors")))
    }

    /// All heads by name, with those whose files are damaged as errors.
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
    /// If there is none, with the names that there are.
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
        // Names have letters of ASCII alone, so that nothing is found by what stands for others here.
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

    /// Copies a head into the store under its own name, or under `name`.
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

    /// The head for `task`: see [`HeadStore::choose_with_reason`].
    ///
    /// # Errors
    /// As there.
    pub fn choose(&self, task: &str, named: Option<&OsStr>) -> Result<LocatedHead> {
        Ok(self.choose_with_reason(task, named, None)?.0)
    }

    /// The head for `task`, and why it is this one: the `named` one, else the one in `$DINO_HEAD_<TASK>`, else the first
    /// of those inside the program if `$DINO_WEIGHTS` is `focus`, else the one that `dino config` set (but not if that is
    /// `official`), else the best published head that is installed with its backbone, else the first of the ranking of
    /// those inside the program, else the first by name. Of those that nobody named, one that reads `backbone` comes
    /// first, where that is given.
    ///
    /// # Errors
    /// If the one that was asked for is not there or is for another task, if a published one for the task is damaged, or
    /// if there is none at all.
    pub fn choose_with_reason(
        &self,
        task: &str,
        named: Option<&OsStr>,
        backbone: Option<&str>,
    ) -> Result<(LocatedHead, HeadChoiceReason)> {
        let variables = EnvVariables::from_process();
        let variable = format!("DINO_HEAD_{}", task.to_ascii_uppercase());
        let wish: Option<(OsString, HeadChoiceReason)> = match (named, variables.text(&variable)?) {
            (Some(name), _) => Some((name.to_owned(), HeadChoiceReason::Named)),
            (None, Some(name)) => Some((name.into(), HeadChoiceReason::Variable(variable))),
            (None, None) => None,
        };
        if let Some((name, reason)) = wish {
            return Ok((self.get_for(task, &name)?, reason));
        }
        let origins = WeightsPolicy::from_variables(&variables)?;
        if origins == WeightsPolicy::Focus {
            let reason = HeadChoiceReason::Variable(WeightsPolicy::VARIABLE.to_owned());
            return Ok((
                self.best(task, backbone, origins, &UserConfig::default())?,
                reason,
            ));
        }
        let config = UserConfig::read(&self.root)?;
        let set = config
            .heads
            .get(task)
            .filter(|_| origins == WeightsPolicy::Best);
        if let Some(name) = set {
            let found = self.get_for(task, name.as_ref()).map_err(|error| {
                Error::Model(format!(
                    "{}: {error}; `dino config {task} --unset` forgets it",
                    UserConfig::path(&self.root).display()
                ))
            })?;
            // A backbone that was named for this run is not for a head that was set for all.
            if backbone.is_none_or(|backbone| backbone == found.head.meta.backbone) {
                return Ok((found, HeadChoiceReason::Config));
            }
        }
        let found = self.best(task, backbone, origins, &config)?;
        let reason = match (origins, &found.location) {
            (WeightsPolicy::Official, _) => {
                HeadChoiceReason::Variable(WeightsPolicy::VARIABLE.to_owned())
            }
            (_, HeadLocation::Builtin) => HeadChoiceReason::Builtin,
            _ => HeadChoiceReason::Installed,
        };
        Ok((found, reason))
    }

    /// The head called `name`, which has to be for `task`.
    fn get_for(&self, task: &str, name: &OsStr) -> Result<LocatedHead> {
        let found = self.get(name)?;
        match found.head.meta.task_name() == task {
            true => Ok(found),
            false => Err(Error::Usage(format!(
                "the head {} is for `dino {}`, not for `dino {task}`",
                name.display(),
                found.head.meta.task_name()
            ))),
        }
    }

    /// The best head for `task` of those that nobody named.
    fn best(
        &self,
        task: &str,
        backbone: Option<&str>,
        origins: WeightsPolicy,
        config: &UserConfig,
    ) -> Result<LocatedHead> {
        let mut fitting: Vec<(String, LocatedHead)> = Vec::new();
        for (name, found) in self.list()? {
            let is_published = official::find(&name).is_some_and(|it| it.dataset.task() == task);
            match found {
                Ok(found) if found.head.meta.task_name() == task => {
                    let is_avoided =
                        found.location != HeadLocation::Builtin && config.avoid.contains(&name);
                    if !is_avoided {
                        fitting.push((name, found));
                    }
                }
                // Not passed over in silence: it would have been the best.
                Err(error) if is_published && origins != WeightsPolicy::Focus => {
                    return Err(Error::Model(format!(
                        "{error}; `dino heads rm {name}` removes it, `dino heads pull {name}` then fetches it anew"
                    )));
                }
                _ => {}
            }
        }
        let store = Store::at(&self.root);
        // Of published heads, those whose backbone is there.
        let usable = |official: &OfficialHead| matches!(store.get(official.backbone), Ok(Some(_)));
        let rank = |name: &str, found: &LocatedHead| {
            let official = official::find(name)
                .filter(|_| matches!(found.location, HeadLocation::Installed(_)));
            let builtin = builtin::RANKING.iter().position(|ranked| *ranked == name);
            let is_other = backbone.is_some_and(|backbone| backbone != found.head.meta.backbone);
            let rank = match (official, builtin) {
                (None, Some(place)) if origins == WeightsPolicy::Focus => (0, place),
                (Some(official), _) if usable(&official) => (1, official.rank()),
                (None, Some(place)) => (2, place),
                (None, None) => (3, 0),
                (Some(official), _) => (4, official.rank()),
            };
            (is_other, rank)
        };
        let best = fitting
            .into_iter()
            .min_by_key(|(name, found)| rank(name, found));
        match best {
            Some((name, found)) => {
                let is_published = official::find(&name).is_some();
                if origins == WeightsPolicy::Official && !is_published {
                    return Err(Error::Model(format!(
                        "{}=official: none of Meta's heads for `dino {task}` is to be had here; `dino setup` fetches one",
                        WeightsPolicy::VARIABLE
                    )));
                }
                Ok(found)
            }
            None => {
                let way = match task {
                    "classify" => "`dino heads pull imagenet-linear` fetches one".to_owned(),
                    _ => format!("train one with `dino train {task}` and name it with --head"),
                };
                Err(Error::Model(format!(
                    "there is no head for `dino {task}` yet; {way}"
                )))
            }
        }
    }

    /// The head inside the program that comes first for `task`.
    pub fn builtin(task: &str) -> Option<Head> {
        let named = |name: &&str| builtin::all().find(|(other, _)| other == name);
        let ranked = builtin::RANKING.iter().filter_map(named);
        let mut heads = ranked.filter_map(|(_, head)| head.ok());
        heads.find(|head| head.meta.task_name() == task)
    }
}

/// Why a head was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadChoiceReason {
    /// The command line named it.
    Named,
    /// This environment variable asks for it.
    Variable(String),
    /// `config.json` names it.
    Config,
    /// It is the best of those that are installed.
    Installed,
    /// It is the best of those inside the program, and none is installed.
    Builtin,
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
