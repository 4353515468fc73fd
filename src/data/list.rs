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
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| Error::file(path, error.to_string()))?;
    let lines = reader.records().enumerate().map(|(index, record)| {
        let record = record.map_err(|error| (index + 1, error.to_string()))?;
        let number = record
            .position()
            .map_or(index + 1, |place| place.line() as usize);
        let fields: Vec<&str> = record.iter().collect();
        let (photo, label, split) = match fields[..] {
            ["photo" | "image", _, ..] if index == 0 => return Ok((number, None)),
            [photo, label] => (photo, label, None),
            [photo, label, split] => (photo, label, Some(split.to_owned())),
            _ => {
                let found = fields.len();
                return Err((
                    number,
                    format!("expected photo,label or photo,label,split, found {found} fields"),
                ));
            }
        };
        let line = Line {
            photo: photo.to_owned(),
            label: label.to_owned(),
            split,
        };
        Ok((number, Some(line)))
    });
    collect(path, lines)
}

/// Reads a JSONL list.
///
/// # Errors
/// Names the list and the line.
pub fn read_jsonl(path: &Path) -> Result<DataSet> {
    let text = fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    collect(
        path,
        lines.map(|(index, line)| match serde_json::from_str(line) {
            Ok(line) => Ok((index + 1, Some(line))),
            Err(error) => Err((index + 1, error.to_string())),
        }),
    )
}

/// A line of a list with its number, or what is wrong with it.
type Numbered = Result<(usize, Option<Line>), (usize, String)>;

/// Gathers lines, or says which one is wrong and why.
fn collect(path: &Path, lines: impl Iterator<Item = Numbered>) -> Result<DataSet> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let failed = |number: usize, why: String| Error::file(path, format!("line {number}: {why}"));
    let mut set = DataSet::default();
    for line in lines {
        let (number, line) = line.map_err(|(number, why)| failed(number, why))?;
        let Some(line) = line else { continue };
        let pair = Pair {
            photo: folder.join(line.photo),
            label: folder.join(line.label),
        };
        if let Some(missing) = [&pair.photo, &pair.label]
            .into_iter()
            .find(|file| !file.is_file())
        {
            return Err(failed(number, format!("{} is no file", missing.display())));
        }
        match line.split.as_deref() {
            None | Some("" | "train") => set.train.push(pair),
            Some("val" | "validation") => set.val.push(pair),
            Some(other) => {
                let why = format!("the split {other:?} is neither train nor val");
                return Err(failed(number, why));
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
