//! Lists of pairs: CSV (`photo,label` or `photo,label,val`) and JSONL (`{"photo": …, "label": …, "split": "val"}`).
//! Paths are relative to the list's own folder.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::data::set::{DataSet, Pair};
use crate::error::{Error, Result};

#[derive(Deserialize)]
struct Line {
    #[serde(alias = "image")]
    photo: String,
    #[serde(alias = "mask", alias = "depth")]
    label: String,
    #[serde(default)]
    split: Option<String>,
}

/// Reads a CSV list; a first line that names columns is skipped.
///
/// # Errors
/// Names the list and the line.
pub fn read_csv(path: &Path) -> Result<DataSet> {
    read(path, |number, text| {
        let fields: Vec<&str> = text
            .split(',')
            .map(|f| f.trim().trim_matches('"'))
            .collect();
        let (photo, label, split) = match fields[..] {
            ["photo" | "image", _, ..] if number == 1 => return Ok(None),
            [photo, label] => (photo, label, None),
            [photo, label, split] => (photo, label, Some(split.to_owned())),
            _ => {
                return Err(format!(
                    "expected photo,label or photo,label,split, found {} fields",
                    fields.len()
                ));
            }
        };
        Ok(Some(Line {
            photo: photo.to_owned(),
            label: label.to_owned(),
            split,
        }))
    })
}

/// Reads a JSONL list.
///
/// # Errors
/// Names the list and the line.
pub fn read_jsonl(path: &Path) -> Result<DataSet> {
    read(path, |_, text| {
        serde_json::from_str(text)
            .map(Some)
            .map_err(|error| error.to_string())
    })
}

fn read(
    path: &Path,
    parse: impl Fn(usize, &str) -> Result<Option<Line>, String>,
) -> Result<DataSet> {
    let text = fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut set = DataSet::default();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.trim().is_empty() {
            continue;
        }
        let failed = |why: String| Error::file(path, format!("line {number}: {why}"));
        let Some(line) = parse(number, line).map_err(failed)? else {
            continue;
        };
        let pair = Pair {
            photo: folder.join(line.photo),
            label: folder.join(line.label),
        };
        for file in [&pair.photo, &pair.label] {
            if !file.is_file() {
                return Err(failed(format!("{} is no file", file.display())));
            }
        }
        match line.split.as_deref() {
            None | Some("" | "train") => set.train.push(pair),
            Some("val" | "validation") => set.val.push(pair),
            Some(other) => {
                return Err(failed(format!(
                    "the split {other:?} is neither train nor val"
                )));
            }
        }
    }
    Ok(set)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_list_read_alike() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "a.png", "b.jpg", "b.png"] {
            fs::write(root.path().join(name), b"x").unwrap();
        }
        let csv = root.path().join("list.csv");
        fs::write(
            &csv,
            "photo,label,split\na.jpg,a.png,train\nb.jpg,b.png,val\n",
        )
        .unwrap();
        let jsonl = root.path().join("list.jsonl");
        fs::write(
            &jsonl,
            "{\"image\":\"a.jpg\",\"mask\":\"a.png\"}\n\n{\"photo\":\"b.jpg\",\"label\":\"b.png\",\"split\":\"val\"}\n",
        )
        .unwrap();
        let set = read_csv(&csv).unwrap();
        assert_eq!(set, read_jsonl(&jsonl).unwrap());
        assert_eq!((set.train.len(), set.val.len()), (1, 1));
        fs::write(&csv, "a.jpg,missing.png\n").unwrap();
        let error = read_csv(&csv).unwrap_err().to_string();
        assert!(
            error.contains("line 1") && error.contains("missing.png is no file"),
            "{error}"
        );
    }
}
