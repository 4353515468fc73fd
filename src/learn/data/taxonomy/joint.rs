//! Joint taxonomies of several data sets, as JSON: `{"classes": [{"name", "color"}], "sets": {"voc": {"dataset": "voc",
//! "classes": {"0": "rest", "1": ["airplane"]}}}}`.
//!
//! By id, a set names the classes that it may stand for; `rest` means every class that the set does not name. Ids
//! without an entry are neither learnt from nor evaluated.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::class_list::{classes_of, entries_of};
use super::set_labels::SetLabels;
use crate::error::{Error, Result};
use crate::learn::data::text;
use crate::model::head::meta::Class;

/// The classes of a head, and the meaning of the ids of each data set in terms of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taxonomy {
    /// The classes of the head, by index.
    pub classes: Vec<Class>,
    /// The data sets, by name in the order of the alphabet.
    pub sets: Vec<SetLabels>,
}

/// The JSON of a taxonomy.
#[derive(Deserialize)]
struct SpecFile {
    classes: Value,
    sets: BTreeMap<String, SpecSet>,
}

/// The JSON of one data set.
#[derive(Deserialize)]
struct SpecSet {
    #[serde(default, alias = "data")]
    dataset: Option<String>,
    classes: BTreeMap<String, IdMeaning>,
}

/// What an id stands for: the word `rest`, or the names of classes.
#[derive(Deserialize)]
#[serde(expecting = "a class, or a list of classes")]
#[serde(untagged)]
enum IdMeaning {
    Word(String),
    Names(Vec<String>),
}

impl Taxonomy {
    /// The taxonomy of one data set whose ids are the indices of the classes.
    pub fn single_set(name: &str, classes: Vec<Class>) -> Self {
        let sets = vec![SetLabels::identity(name, &classes)];
        Taxonomy { classes, sets }
    }

    /// Reads a joint taxonomy from a file.
    ///
    /// # Errors
    /// Where the file cannot be read or is no such JSON, or an id of a set is no number or stands for no class of the
    /// list.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = crate::system::files::pipe::read_whole(path)?;
        let parse = || Self::parse(text::decode(&bytes)?.as_bytes());
        parse().map_err(|why| Error::file(path, why))
    }

    /// Parses a joint taxonomy from UTF-8 JSON.
    ///
    /// # Errors
    /// What is wrong with it, without the name of the file.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let file: SpecFile = serde_json::from_slice(text).map_err(|error| {
            format!("is no joint taxonomy: {error}; expected {{\"classes\": […], \"sets\": {{…}}}}")
        })?;
        let classes = classes_of(entries_of(&file.classes)?)?;
        let index = |name: &str| classes.iter().position(|class| class.name == name);
        let mut sets = Vec::new();
        for (name, spec) in file.sets {
            let mut named = vec![false; classes.len()];
            let mut allowed: Vec<Vec<u16>> = Vec::new();
            let mut background = None;
            for (id, meaning) in &spec.classes {
                let id: u16 = id
                    .parse()
                    .map_err(|_| format!("set {name}: {id:?} is no id"))?;
                let at = usize::from(id);
                if allowed.len() <= at {
                    allowed.resize(at + 1, Vec::new());
                }
                match meaning {
                    IdMeaning::Word(word) if word == "rest" => {
                        if background.replace(id).is_some() {
                            return Err(format!("set {name}: two ids mean the rest"));
                        }
                    }
                    IdMeaning::Word(word) => {
                        return Err(format!(
                            "set {name}, id {id}: {word:?} should be \"rest\" or a list of class names"
                        ));
                    }
                    IdMeaning::Names(names) => {
                        for class in names {
                            let class = index(class).ok_or_else(|| {
                                format!("set {name}, id {id}: no class is called {class:?}")
                            })?;
                            named[class] = true;
                            allowed[at].push(class as u16);
                        }
                    }
                }
            }
            if let Some(id) = background {
                allowed[usize::from(id)] = (0..classes.len() as u16)
                    .filter(|&class| !named[usize::from(class)])
                    .collect();
            }
            sets.push(SetLabels {
                name,
                data: spec.dataset,
                allowed,
                background,
                is_closed: false,
                own_classes: Vec::new(),
                white: None,
            });
        }
        if sets.is_empty() {
            return Err("names no data set under \"sets\"".to_owned());
        }
        Ok(Taxonomy { classes, sets })
    }

    /// The data set called `name`.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is none, with the names that there are.
    pub fn set(&self, name: &str) -> Result<&SetLabels> {
        self.sets
            .iter()
            .find(|set| set.name == name)
            .ok_or_else(|| {
                let names: Vec<&str> = self.sets.iter().map(|set| set.name.as_str()).collect();
                Error::Usage(format!(
                    "--labels {name}: the taxonomy has no such set{}; it has {}",
                    crate::terminal::suggest::did_you_mean(name, names.iter().copied()),
                    names.join(", ")
                ))
            })
    }
}
