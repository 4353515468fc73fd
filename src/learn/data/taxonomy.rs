//! What the ids of masks mean: a list of classes (`classes.json`), or one taxonomy for several data sets, where an id
//! of a set stands for one class or for any of several.
//!
//! `{"classes": [{"name", "color"}], "sets": {"voc": {"dataset": "voc", "classes": {"0": "rest", "1": ["airplane"]}}}}`:
//! `rest` means every class that the set does not name; ids without an entry are not learnt from and not judged.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::learn::data::labels::{Mask, MaskReader};
use crate::learn::data::text;
use crate::model::head::meta::{Class, LabelSet};
use crate::terminal::warnings::Warnings;

/// Stands for what is of no class where every id is learnt from; class lists end before it.
const NO_IGNORED_ID: u16 = u16::MAX;

/// What 8 and 16 bits have for white.
pub(super) const WHITES: [u16; 2] = [u8::MAX as u16, u16::MAX];

/// What the ids of one data set mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetLabels {
    /// What the set is called.
    pub name: String,
    /// Where its data lies, as the file says.
    pub data: Option<String>,
    /// By id, the classes that it can be; none for ids that are not learnt from.
    pub allowed: Vec<Vec<u16>>,
    /// The id that means "any class not named", if there is one.
    pub background: Option<u16>,
    /// Whether an id beyond `allowed` is an error, rather than one that is not learnt from.
    pub is_closed: bool,
    /// What the set itself calls its ids, by id, for masks in the colours of its classes; empty where that is not
    /// known.
    pub own_classes: Vec<Class>,
    /// What stands for the id 1: the white of masks in black and white.
    pub white: Option<u16>,
}

/// Classes, and how data sets name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taxonomy {
    /// The classes that a head tells apart, by index.
    pub classes: Vec<Class>,
    /// The data sets.
    pub sets: Vec<SetLabels>,
}

/// A class as a list has it.
#[derive(Debug, Default)]
struct ClassEntry {
    id: Option<usize>,
    name: String,
    color: Option<[u8; 3]>,
}

#[derive(Deserialize)]
struct SpecFile {
    classes: Value,
    sets: BTreeMap<String, SpecSet>,
}

#[derive(Deserialize)]
struct SpecSet {
    #[serde(default, alias = "data")]
    dataset: Option<String>,
    classes: BTreeMap<String, IdMeaning>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum IdMeaning {
    Word(String),
    Names(Vec<String>),
}

impl SetLabels {
    /// A set whose ids are the classes themselves.
    pub fn identity(name: &str, classes: &[Class]) -> Self {
        SetLabels {
            name: name.to_owned(),
            data: None,
            allowed: (0..classes.len() as u16).map(|id| vec![id]).collect(),
            background: None,
            is_closed: true,
            own_classes: classes.to_vec(),
            white: None,
        }
    }

    /// As a head carries it.
    pub fn to_head(&self) -> LabelSet {
        LabelSet {
            name: self.name.clone(),
            allowed: self.allowed.clone(),
            background: self.background,
        }
    }

    /// As a head says it.
    pub fn from_head(set: &LabelSet) -> Self {
        SetLabels {
            name: set.name.clone(),
            data: None,
            allowed: set.allowed.clone(),
            background: set.background,
            is_closed: false,
            own_classes: Vec::new(),
            white: None,
        }
    }

    /// What an id is called: as its first class, or nothing where it has none.
    pub fn name_of(&self, id: u16, classes: &[Class]) -> String {
        if self.background == Some(id) {
            return "background".to_owned();
        }
        let first = self.allowed[usize::from(id)].first();
        first.map_or_else(String::new, |&class| {
            classes[usize::from(class)].name.clone()
        })
    }

    /// Reads a mask, whatever ids it has. What is not as it was meant is told to `warnings`.
    ///
    /// # Errors
    /// Names the file and a colour that is in no list.
    pub fn read_ids(&self, path: &Path, ignore: Option<u16>, warnings: &Warnings) -> Result<Mask> {
        let reader = MaskReader {
            classes: &self.own_classes,
            id_count: self.is_closed.then_some(self.allowed.len()),
            ignore: ignore.unwrap_or(NO_IGNORED_ID),
            warnings,
        };
        let mut mask = reader.read(path)?;
        if let Some(white) = self.white {
            // The white of 16 bits is read as that of 8 where the ids allow it.
            let is_white = |id: u16| id == white || WHITES.contains(&id);
            mask.ids
                .iter_mut()
                .filter(|id| is_white(**id))
                .for_each(|id| *id = 1);
        }
        Ok(mask)
    }

    /// Reads a mask and checks that its ids are known. What is not as it was meant is told to `warnings`.
    ///
    /// # Errors
    /// Names the file and an id or a colour that is in no list.
    pub fn read_mask(&self, path: &Path, ignore: Option<u16>, warnings: &Warnings) -> Result<Mask> {
        let mask = self.read_ids(path, ignore, warnings)?;
        let beyond = |&id: &u16| Some(id) != ignore && usize::from(id) >= self.allowed.len();
        match mask.ids.iter().copied().find(beyond) {
            Some(id) if self.is_closed => {
                let ignored = ignore.map_or("none".to_owned(), |id| id.to_string());
                Err(Error::file(
                    path,
                    format!(
                        "has the class id {id}, but {}, and {ignored} is ignored; --classes and --ignore say otherwise",
                        describe_ids(self.allowed.len())
                    ),
                ))
            }
            _ => Ok(mask),
        }
    }

    /// Whether an id is learnt from and judged.
    pub fn is_known(&self, id: u16) -> bool {
        self.allowed
            .get(usize::from(id))
            .is_some_and(|allowed| !allowed.is_empty())
    }

    /// By class, the id of this set that it counts as: the first that may be this class; none if the set does not
    /// know it.
    pub fn id_of_class(&self, classes: usize) -> Vec<Option<u16>> {
        let mut ids = vec![None; classes];
        for (id, allowed) in self.allowed.iter().enumerate().rev() {
            // A background may be any class that has no name of its own; an own name is preferred.
            for &class in allowed {
                ids[usize::from(class)] = Some(id as u16);
            }
        }
        ids
    }
}

impl Taxonomy {
    /// One data set whose ids are the classes.
    pub fn single_set(name: &str, classes: Vec<Class>) -> Self {
        let sets = vec![SetLabels::identity(name, &classes)];
        Taxonomy { classes, sets }
    }

    /// Reads a joint taxonomy.
    ///
    /// # Errors
    /// Names the file, the set and the id whose meaning is no class of the list.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = crate::system::files::pipe::read_whole(path)?;
        let parse = || Self::parse(text::decode(&bytes)?.as_bytes());
        parse().map_err(|why| Error::file(path, why))
    }

    /// Reads a joint taxonomy from the bytes of its file.
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

    /// The set called `name`.
    ///
    /// # Errors
    /// Names those that there are.
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

/// Reads a class list: a JSON list of names, or of `{"id", "name", "color"}`, alone or under `classes`, or names by id
/// (`{"0": "sky"}`). A colour is `[70, 130, 180]` or `"#4682b4"`.
///
/// # Errors
/// Names the file and what was expected.
pub fn read_classes(path: &Path) -> Result<Vec<Class>> {
    let bytes = crate::system::files::pipe::read_whole(path)?;
    let parse = || -> Result<Vec<Class>, String> {
        let text = text::decode(&bytes)?;
        let file: Value = serde_json::from_str(&text)
            .map_err(|error| format!("is no JSON: {error}; {EXPECTED}"))?;
        let classes = match &file {
            Value::Object(object) => object.get("classes").unwrap_or(&file),
            _ => &file,
        };
        classes_of(entries_of(classes)?)
    };
    parse().map_err(|why| Error::file(path, why))
}

/// The class list of a data set's own folder, if it can be read.
pub fn own_classes(folder: &Path) -> Option<Vec<Class>> {
    let file = folder.join("classes.json");
    file.is_file().then(|| read_classes(&file).ok()).flatten()
}

/// What a list of classes looks like.
const EXPECTED: &str = "expected [{\"name\": \"sky\", \"color\": [70, 130, 180]}, …]";

/// The classes of a list, or of names by id.
fn entries_of(classes: &Value) -> Result<Vec<ClassEntry>, String> {
    let entries: Result<Vec<ClassEntry>, String> = match classes {
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(at, entry)| {
                entry_of(entry)
                    .map_err(|why| format!("has a class in place {at} that {why}; {EXPECTED}"))
            })
            .collect(),
        Value::Object(by_id) => {
            let entry = |(id, entry): (&String, &Value)| {
                let number: usize = id
                    .parse()
                    .map_err(|_| format!("is no list of classes: {id:?} is no id; {EXPECTED}"))?;
                let mut found = entry_of(entry)
                    .map_err(|why| format!("has a class of the id {id} that {why}; {EXPECTED}"))?;
                found.id.get_or_insert(number);
                Ok(found)
            };
            let entries: Result<Vec<ClassEntry>, String> = by_id.iter().map(entry).collect();
            entries.map(|mut entries| {
                entries.sort_by_key(|entry| entry.id);
                entries
            })
        }
        _ => Err(format!("is no list of classes; {EXPECTED}")),
    };
    entries
}

/// One class: a name, or an object with it.
fn entry_of(entry: &Value) -> Result<ClassEntry, String> {
    let object = match entry {
        Value::String(name) => {
            return Ok(ClassEntry {
                name: name.clone(),
                ..ClassEntry::default()
            });
        }
        Value::Object(object) => object,
        other => return Err(format!("is neither a name nor an object ({other})")),
    };
    let name = match object.get("name") {
        Some(Value::String(name)) => name.clone(),
        Some(other) => return Err(format!("has the name {other}, which is no text")),
        None => return Err("has no \"name\"".to_owned()),
    };
    let id = match object.get("id") {
        None | Some(Value::Null) => None,
        Some(id) => Some(
            id.as_u64()
                .and_then(|id| usize::try_from(id).ok())
                .ok_or_else(|| format!("has the id {id}, which is no whole number"))?,
        ),
    };
    let color = match object.get("color") {
        None | Some(Value::Null) => None,
        Some(color) => Some(color_of(color).ok_or_else(|| {
            format!("has the color {color}, which is neither [red, green, blue] from 0 to 255 nor \"#rrggbb\"")
        })?),
    };
    Ok(ClassEntry { id, name, color })
}

/// `[70, 130, 180]` or `"#4682b4"`.
fn color_of(color: &Value) -> Option<[u8; 3]> {
    let channels: Vec<u8> = match color {
        Value::Array(channels) => {
            let channel = |value: &Value| u8::try_from(value.as_u64()?).ok();
            channels.iter().map(channel).collect::<Option<_>>()?
        }
        Value::String(text) => {
            let digits = text.strip_prefix('#')?;
            let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
            match digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                true => [0, 2, 4].into_iter().map(pair).collect::<Option<_>>()?,
                false => return None,
            }
        }
        _ => return None,
    };
    channels.try_into().ok()
}

fn classes_of(entries: Vec<ClassEntry>) -> Result<Vec<Class>, String> {
    let mut classes: Vec<Class> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let ClassEntry { id, name, color } = entry;
        if id.is_some_and(|id| id != index) {
            return Err(format!(
                "gives {name:?} the id {} in place {index}; ids must count from 0",
                id.unwrap_or_default()
            ));
        }
        if classes.iter().any(|class| class.name == name) {
            return Err(format!("names the class {name:?} twice"));
        }
        let color = color.unwrap_or_else(|| voc_color(index));
        classes.push(Class { name, color });
    }
    if classes.is_empty() || classes.len() > 65_535 {
        return Err(format!("has {} classes", classes.len()));
    }
    Ok(classes)
}

/// Which ids so many classes have, in words.
pub(super) fn describe_ids(classes: usize) -> String {
    match classes {
        1 => "the one class has the id 0".to_owned(),
        _ => format!(
            "the {classes} classes have the ids 0 to {}",
            classes.saturating_sub(1)
        ),
    }
}

/// The colour of a class that has none: PASCAL VOC's scheme, which spreads the bits of the index over the channels.
pub fn voc_color(index: usize) -> [u8; 3] {
    let mut color = [0u8; 3];
    let mut bits = index;
    for shift in (0..8).rev() {
        for (channel, value) in color.iter_mut().enumerate() {
            *value |= (((bits >> channel) & 1) as u8) << shift;
        }
        bits >>= 3;
    }
    color
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    const SPEC: &str = r#"{"classes": ["sky", {"name": "cat", "color": [1, 2, 3]}, "dog", "wall"],
        "sets": {"pets": {"dataset": "voc", "classes": {"0": "rest", "1": ["cat"], "3": ["dog", "cat"]}}}}"#;

    #[test]
    fn the_rest_is_every_class_not_named() {
        let taxonomy = Taxonomy::parse(SPEC.as_bytes()).unwrap();
        let pets = taxonomy.set("pets").unwrap();
        assert_eq!(pets.allowed, [vec![0, 3], vec![1], vec![], vec![2, 1]]);
        assert_eq!(pets.background, Some(0));
        assert_eq!(pets.id_of_class(4), [Some(0), Some(1), Some(3), Some(0)]);
        assert_eq!(taxonomy.classes[1].color, [1, 2, 3]);
        assert!(
            taxonomy
                .set("cars")
                .unwrap_err()
                .to_string()
                .contains("it has pets")
        );
    }

    #[test]
    fn mistakes_are_named() {
        let wrong =
            |from: &str, to: &str| Taxonomy::parse(SPEC.replace(from, to).as_bytes()).unwrap_err();
        assert!(wrong("[\"cat\"]", "[\"cow\"]").contains("\"cow\""));
        assert!(wrong("\"rest\"", "\"others\"").contains("\"others\""));
        assert!(wrong("\"dog\", \"wall\"", "\"dog\", \"dog\"").contains("twice"));
        assert!(wrong("\"3\":", "\"x\":").contains("is no id"));
    }

    #[test]
    fn lists_of_classes_have_many_forms() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("classes.json");
        let read = |text: &str| {
            fs::write(&file, text).unwrap();
            let classes = read_classes(&file).map_err(|error| error.to_string())?;
            Ok::<_, String>(
                classes
                    .into_iter()
                    .map(|class| (class.name, class.color))
                    .collect::<Vec<_>>(),
            )
        };
        let expected = vec![
            ("sky".to_owned(), [70, 130, 180]),
            ("cat".to_owned(), [128, 0, 0]),
        ];
        for text in [
            r##"[{"name": "sky", "color": "#4682b4"}, "cat"]"##,
            r##"{"classes": [{"name": "sky", "color": [70, 130, 180], "id": 0}, {"name": "cat"}]}"##,
            r##"{"1": "cat", "0": {"name": "sky", "color": "#4682B4"}}"##,
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        for (text, said) in [
            (r#"[{"name": "sky", "color": "blue"}]"#, "place 0"),
            (
                r#"[{"name": "sky", "color": [1, 2, 256]}]"#,
                "from 0 to 255",
            ),
            (r#"[{"title": "sky"}]"#, "has no \"name\""),
            (r#"{"sky": 0}"#, "\"sky\" is no id"),
            (r#"{"0": "sky", "2": "cat"}"#, "ids must count from 0"),
            (r#""sky""#, "is no list of classes"),
            ("[", "is no JSON"),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(said), "{why}");
        }
    }

    #[test]
    fn the_palette_is_vocs() {
        assert_eq!(voc_color(0), [0, 0, 0]);
        assert_eq!(voc_color(1), [128, 0, 0]);
        assert_eq!(voc_color(15), [192, 128, 128]);
        assert_eq!(voc_color(20), [0, 64, 128]);
    }
}
