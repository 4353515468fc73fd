//! What all formats of lists have in common: the text of the file, errors that name a line, the files that a line
//! means, and the check that no photo has two labels.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::error::{Error, Result};
use crate::learn::data::data_set::{DataSet, DataSplit, LabelledPair};
use crate::learn::data::file_names::FileFinder;
use crate::learn::data::text;

/// The fields of one line of a list.
#[derive(Debug, Default)]
pub(super) struct ListLine {
    /// Number in the file, from 1.
    pub number: usize,
    pub photo: String,
    pub label: String,
    pub split: Option<String>,
}

/// A list in the course of being read, with the pairs so far.
pub(super) struct ListParser<'a> {
    pub path: &'a Path,
    pub folder: &'a Path,
    pub finder: FileFinder,
    pub set: DataSet,
}

impl<'a> ListParser<'a> {
    /// A parser of the list at `path`, before its first line.
    pub fn new(path: &'a Path) -> Self {
        ListParser {
            path,
            folder: path.parent().unwrap_or(Path::new("")),
            finder: FileFinder::default(),
            set: DataSet::default(),
        }
    }

    /// An error about the line with this number.
    pub fn line_error(&self, number: usize, why: impl std::fmt::Display) -> Error {
        Error::file(self.path, format!("line {number}: {why}"))
    }

    /// The text of the whole list.
    pub fn text(&self) -> Result<String> {
        let bytes = crate::system::files::pipe::read_whole(self.path)?;
        text::decode(&bytes).map_err(|why| Error::file(self.path, why))
    }

    /// Adds the pair of a line to its split.
    ///
    /// # Errors
    /// Where the line names no file, or no split.
    pub fn add(&mut self, line: ListLine) -> Result<()> {
        let mut find = |name: &str| {
            let found = self.finder.find(self.folder, name);
            found.ok_or_else(|| format!("{} is no file", self.folder.join(name).display()))
        };
        let pair = find(&line.photo).and_then(|photo| Ok((photo, find(&line.label)?)));
        let (photo, label) = pair.map_err(|why| self.line_error(line.number, why))?;
        let part = match line.split.as_deref().map(str::trim) {
            None | Some("") => DataSplit::Train,
            Some(name) => DataSplit::named(name).ok_or_else(|| {
                self.line_error(
                    line.number,
                    format!("the split {name:?} is none of train, val and test"),
                )
            })?,
        };
        self.set.add(part, LabelledPair { photo, label });
        Ok(())
    }

    /// The data set that was read; repeated pairs count once.
    ///
    /// # Errors
    /// Where a photo has two labels.
    pub fn finish(mut self) -> Result<DataSet> {
        let mut seen = HashSet::new();
        let mut repeated = 0;
        let set = &mut self.set;
        for part in [&mut set.train, &mut set.val, &mut set.test] {
            let before = part.len();
            part.retain(|pair| seen.insert((pair.photo.clone(), pair.label.clone())));
            repeated += before - part.len();
        }
        if repeated > 0 {
            let note = format!("{repeated} lines repeat a pair, which counts once");
            self.set.notes.push(note);
        }
        let mut labels: HashMap<&Path, &Path> = HashMap::new();
        for pair in [&self.set.train, &self.set.val, &self.set.test]
            .into_iter()
            .flatten()
        {
            let other = labels.insert(&pair.photo, &pair.label);
            if let Some(other) = other.filter(|other| *other != pair.label) {
                let why = format!(
                    "gives {} two labels, {} and {}; a photo has one",
                    pair.photo.display(),
                    other.display(),
                    pair.label.display()
                );
                return Err(Error::file(self.path, why));
            }
        }
        self.set.notes.extend(self.finder.remark());
        Ok(self.set)
    }
}
