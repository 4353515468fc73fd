//! Class lists (`classes.json`): the names and display colours of a head's classes, by id.
//!
//! In: a JSON list of names, or of `{"id", "name", "color"}`, alone or under `classes`, or an object of names by id, in
//! any encoding that `text` decodes. Out: one [`Class`] per id, counted from 0; a class without a colour gets that of
//! PASCAL VOC's scheme.

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::learn::data::text;
use crate::model::head::meta::Class;

/// One entry of a class list.
#[derive(Debug, Default)]
pub(super) struct ClassEntry {
    id: Option<usize>,
    name: String,
    color: Option<[u8; 3]>,
}

/// Reads a class list: a JSON list of names, or of `{"id", "name", "color"}`, alone or under `classes`, or an object of
/// names by id (`{"0": "sky"}`). A colour is `[70, 130, 180]` or `"#4682b4"`.
///
/// # Errors
/// Where the file cannot be read or is no such JSON, ids do not count from 0, or a name occurs twice.
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

/// The class list `classes.json` in the folder of a data set; none where there is none or it cannot be read.
pub fn own_classes(folder: &Path) -> Option<Vec<Class>> {
    let file = folder.join("classes.json");
    file.is_file().then(|| read_classes(&file).ok()).flatten()
}

/// The form of a class list, for error messages.
const EXPECTED: &str = "expected [{\"name\": \"sky\", \"color\": [70, 130, 180]}, …]";

/// The entries of a JSON list, or of a JSON object by id.
pub(super) fn entries_of(classes: &Value) -> Result<Vec<ClassEntry>, String> {
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

/// One entry: a name, or an object with a name.
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

/// A colour as `[70, 130, 180]` or `"#4682b4"`.
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

/// The classes of a list whose ids count from 0, with default colours where it names none.
///
/// # Errors
/// Where ids have gaps, a name occurs twice, or there are no classes or more than 65,535.
pub(super) fn classes_of(entries: Vec<ClassEntry>) -> Result<Vec<Class>, String> {
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

/// A phrase for messages about the ids of so many classes.
pub(in crate::learn::data) fn describe_ids(classes: usize) -> String {
    match classes {
        1 => "the one class has the id 0".to_owned(),
        _ => format!(
            "the {classes} classes have the ids 0 to {}",
            classes.saturating_sub(1)
        ),
    }
}

/// The default colour of the class with this index: the colormap of PASCAL VOC, which spreads the bits of the index
/// over the channels.
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
