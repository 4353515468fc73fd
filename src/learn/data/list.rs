//! Lists of pairs, as people and other programs write them: CSV with commas, semicolons or tabs (`photo,label` or
//! `photo,label,val`, or named columns in any order), JSONL (`{"photo": …, "label": …, "split": "val"}`), and the lists of
//! words of the benchmarks. Paths are relative to the list's own folder.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::learn::data::data_set::{DataSet, DataSplit, LabelKind, LabelledPair};
use crate::learn::data::file_names::FileFinder;
use crate::learn::data::text;

/// What a column or key of a list means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Photo,
    Label,
    Split,
}

impl Column {
    /// What a name stands for in a list of labels of a kind, and how sure that is: 0 is surest.
    fn named(name: &str, kind: LabelKind) -> Option<(Self, u8)> {
        let name = name.trim().to_lowercase().replace([' ', '-'], "_");
        let endings = ["_path", "_file", "_filename", "_name"];
        let stem = endings.iter().find_map(|end| name.strip_suffix(end));
        let (own, other) = match kind {
            LabelKind::Depth => (0, 2),
            LabelKind::Masks => (2, 0),
        };
        Some(match stem.unwrap_or(&name) {
            "photo" | "photos" | "image" | "images" | "img" | "rgb" | "picture" => {
                (Column::Photo, 0)
            }
            "color" | "colour" | "file" | "filename" | "input" | "path" => (Column::Photo, 1),
            "depth" | "depths" | "depth_map" => (Column::Label, own),
            "mask" | "masks" | "seg" | "segmentation" | "seg_map" | "label_map" => {
                (Column::Label, other)
            }
            "label" | "labels" | "gt" | "ground_truth" | "groundtruth" | "target"
            | "annotation" => (Column::Label, 1),
            "split" | "set" | "part" | "subset" | "partition" | "phase" => (Column::Split, 0),
            _ => return None,
        })
    }

    /// The meaning of each name; of several for one thing the surest counts, and of these the first.
    fn from_header<'a>(names: impl Iterator<Item = &'a str>, kind: LabelKind) -> Vec<Option<Self>> {
        let mut columns: Vec<_> = names.map(|name| Self::named(name, kind)).collect();
        for column in [Column::Photo, Column::Label, Column::Split] {
            let ranks = columns.iter().enumerate();
            let of_column = ranks
                .filter_map(|(at, found)| Some((found.filter(|(own, _)| *own == column)?.1, at)));
            let best = of_column.min().map(|(_, at)| at);
            for (at, found) in columns.iter_mut().enumerate() {
                if found.is_some_and(|(own, _)| own == column) && Some(at) != best {
                    *found = None;
                }
            }
        }
        columns.into_iter().map(|found| Some(found?.0)).collect()
    }
}

/// One line of a list.
#[derive(Debug, Default)]
struct ListLine {
    number: usize,
    photo: String,
    label: String,
    split: Option<String>,
}

/// A list that is being read.
struct ListParser<'a> {
    path: &'a Path,
    folder: &'a Path,
    finder: FileFinder,
    set: DataSet,
}

impl<'a> ListParser<'a> {
    fn new(path: &'a Path) -> Self {
        ListParser {
            path,
            folder: path.parent().unwrap_or(Path::new("")),
            finder: FileFinder::default(),
            set: DataSet::default(),
        }
    }

    fn line_error(&self, number: usize, why: impl std::fmt::Display) -> Error {
        Error::file(self.path, format!("line {number}: {why}"))
    }

    fn text(&self) -> Result<String> {
        let bytes = crate::system::files::pipe::read_whole(self.path)?;
        text::decode(&bytes).map_err(|why| Error::file(self.path, why))
    }

    /// Adds a line's pair.
    fn add(&mut self, line: ListLine) -> Result<()> {
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

    /// Everything that was read.
    ///
    /// # Errors
    /// If a photo has two labels.
    fn finish(mut self) -> Result<DataSet> {
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

/// Reads a CSV list, whatever separates its fields.
///
/// # Errors
/// Names the list and the line.
pub(super) fn read_csv(path: &Path, kind: LabelKind) -> Result<DataSet> {
    let mut list = ListParser::new(path);
    let mut text = list.text()?;
    let mut skipped = 0;
    // Spreadsheets say which separator they use.
    let said = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("sep="));
    let said = said.and_then(|rest| rest.bytes().next());
    if said.is_some() {
        skipped = 1;
        text = text
            .split_once('\n')
            .map_or("", |(_, rest)| rest)
            .to_owned();
    }
    let separator = said.unwrap_or_else(|| separator(&text, list.folder));
    let mut columns: Option<Vec<Option<Column>>> = None;
    for (index, record) in records(&text, separator).enumerate() {
        let (number, fields) = record.map_err(|why| list.line_error(index + 1 + skipped, why))?;
        let number = number + skipped;
        if index == 0
            && let Some(header) = header(&fields, kind)
        {
            columns = Some(header);
            continue;
        }
        let mut line = ListLine {
            number,
            ..ListLine::default()
        };
        let places: Vec<Option<Column>> = match (&columns, fields.len()) {
            (Some(columns), _) => columns.clone(),
            (None, 2 | 3) => vec![
                Some(Column::Photo),
                Some(Column::Label),
                Some(Column::Split),
            ],
            (None, found) => {
                let why =
                    format!("expected photo,label or photo,label,split, found {found} fields");
                return Err(list.line_error(number, why));
            }
        };
        for (field, column) in fields.into_iter().zip(places) {
            match column {
                Some(Column::Photo) => line.photo = field,
                Some(Column::Label) => line.label = field,
                Some(Column::Split) => line.split = Some(field),
                None => {}
            }
        }
        list.add(line)?;
    }
    list.finish()
}

/// The meaning of columns, if a first line names them: a photo, and a label or one more that can only be it.
fn header(fields: &[String], kind: LabelKind) -> Option<Vec<Option<Column>>> {
    let columns = Column::from_header(fields.iter().map(String::as_str), kind);
    let has = |column| columns.contains(&Some(column));
    match (has(Column::Photo), has(Column::Label)) {
        (true, true) => Some(columns),
        (true, false) | (false, true) if columns.len() == 2 && !has(Column::Split) => {
            let missing = match has(Column::Photo) {
                true => Column::Label,
                false => Column::Photo,
            };
            Some(
                columns
                    .into_iter()
                    .map(|column| column.or(Some(missing)))
                    .collect(),
            )
        }
        _ => None,
    }
}

/// Numbered records, without empty lines.
fn records(
    text: &str,
    separator: u8,
) -> impl Iterator<Item = Result<(usize, Vec<String>), String>> + '_ {
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    reader.into_records().map(|record| {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, |place| place.line() as usize);
        Ok((line, record.iter().map(unquoted).collect()))
    })
}

/// A field without the quotes that stay where a space stands before them.
fn unquoted(field: &str) -> String {
    field.trim().trim_matches('"').to_owned()
}

/// What separates fields: that by which most of the first lines name two files; else what most of them have.
fn separator(text: &str, folder: &Path) -> u8 {
    let score = |separator: u8| {
        let lines = records(text, separator).take(20).flatten();
        let mut finder = FileFinder::default();
        let (mut pairs, mut fields) = (0, 0);
        for (_, line) in lines {
            let files = line
                .iter()
                .filter(|name| !name.is_empty() && finder.find(folder, name).is_some());
            pairs += usize::from(files.count() >= 2);
            fields += usize::from(line.len() >= 2);
        }
        (pairs, fields)
    };
    // Of equals the last is taken.
    let all = [b'\t', b';', b','].map(|separator| (score(separator), separator));
    all.into_iter()
        .max_by_key(|(score, _)| *score)
        .map_or(b',', |(_, separator)| separator)
}

/// Reads a JSONL list.
///
/// # Errors
/// Names the list and the line.
pub(super) fn read_jsonl(path: &Path, kind: LabelKind) -> Result<DataSet> {
    let mut list = ListParser::new(path);
    let text = list.text()?;
    for (index, json) in text.lines().enumerate() {
        if json.trim().is_empty() {
            continue;
        }
        let number = index + 1;
        let object: Map<String, Value> =
            serde_json::from_str(json).map_err(|error| list.line_error(number, error))?;
        let mut line = ListLine {
            number,
            ..ListLine::default()
        };
        let columns = Column::from_header(object.keys().map(String::as_str), kind);
        for (column, value) in columns.into_iter().zip(object.values()) {
            let (Some(column), Some(value)) = (column, value.as_str()) else {
                continue;
            };
            match column {
                Column::Photo => line.photo = value.to_owned(),
                Column::Label => line.label = value.to_owned(),
                Column::Split => line.split = Some(value.to_owned()),
            }
        }
        if line.photo.is_empty() || line.label.is_empty() {
            return Err(list.line_error(number, "expected {\"photo\": …, \"label\": …}"));
        }
        list.add(line)?;
    }
    list.finish()
}

/// Reads a list with a photo, its label and perhaps a focal length in each line, as the benchmarks of NYU Depth V2 and
/// KITTI have them: paths are from the list's folder, or from `input/` and `gt_depth/` in it. Photos whose label is `None`
/// are left out. A path with spaces is told by the files that there are, or stands in quotes. Of TUM's associations (time,
/// photo, time, depth) the paths are taken.
///
/// # Errors
/// Names the list and the line.
pub(super) fn read_words(path: &Path) -> Result<DataSet> {
    let mut list = ListParser::new(path);
    let text = list.text()?;
    // Whether a line with pairs was seen.
    let mut seen = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words = words(line);
        match &words[..] {
            [photo, none, ..] if none == "None" => {
                seen = true;
                list.set.unlabelled.push(list.folder.join(photo));
                continue;
            }
            [only] if !only.contains([',', ';']) => {
                return Err(list.line_error(index + 1, "expected a photo and its label"));
            }
            _ => {}
        }
        let mut find = |name: &str, others: &[&str]| {
            let name = name.trim().trim_matches('"');
            let below = name.trim_start_matches('/');
            let mut places = vec![list.folder.join(below)];
            places.extend(
                others
                    .iter()
                    .map(|other| list.folder.join(other).join(below)),
            );
            places.push(name.into());
            let exact = places
                .into_iter()
                .find(|place| !below.is_empty() && place.is_file());
            exact.or_else(|| list.finder.find(list.folder, below))
        };
        let splits = candidate_pairs(line, &words);
        let found = splits.iter().find_map(|(photo, label)| {
            Some((
                find(photo, &["input", "image"])?,
                find(label, &["gt_depth", "depth"])?,
            ))
        });
        // A first line that names columns names no files.
        let is_header = [LabelKind::Masks, LabelKind::Depth].iter().any(|&kind| {
            splits
                .iter()
                .any(|(photo, label)| header(&[photo.clone(), label.clone()], kind).is_some())
        });
        if is_header && found.is_none() && !std::mem::replace(&mut seen, true) {
            continue;
        }
        seen = true;
        let named = splits.first().map(|(photo, label)| {
            let place = |name: &str| -> PathBuf { list.folder.join(name.trim_start_matches('/')) };
            (place(photo), place(label))
        });
        // What is not there is said when it is looked at; the rest of a benchmark can be used without.
        if let Some((photo, label)) = found.or(named) {
            list.set
                .add(DataSplit::Train, LabelledPair { photo, label });
        }
    }
    list.finish()
}

/// Words between white space; what stands in quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            letter if letter.is_whitespace() && !quoted => words.push(String::new()),
            letter => words
                .last_mut()
                .into_iter()
                .for_each(|word| word.push(letter)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The photos and labels that a line may name, the likeliest first.
fn candidate_pairs(line: &str, words: &[String]) -> Vec<(String, String)> {
    let is_number = |word: &String| word.parse::<f64>().is_ok();
    let mut all = Vec::new();
    match words {
        [_, photo, time, depth] if is_number(time) => all.push((photo.clone(), depth.clone())),
        [photo, label, ..] => all.push((photo.clone(), label.clone())),
        _ => {}
    }
    for separator in ['\t', ',', ';'] {
        let mut fields = line
            .split(separator)
            .map(|field| field.trim().trim_matches('"').to_owned());
        if let (Some(photo), Some(label)) = (fields.next(), fields.next()) {
            all.push((photo, label));
        }
    }
    // Spaces within paths, with and without a number at the end.
    let spaces = || {
        line.char_indices()
            .filter(|(_, letter)| letter.is_whitespace())
            .map(|(at, _)| at)
    };
    for end in std::iter::once(line.len()).chain(spaces().next_back()) {
        for at in spaces().filter(|&at| at < end) {
            all.push((
                line[..at].trim().to_owned(),
                line[at..end].trim().to_owned(),
            ));
        }
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::learn::data::data_set::tests::touch;
    use crate::learn::data::text::tests::encodings;

    fn folder() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        touch(
            root.path(),
            &[
                "a.jpg",
                "a.png",
                "b.jpg",
                "b.png",
                "in/c 1,2.jpg",
                "in/c 1,2.png",
                "Zu\u{308}.JPG",
                "z.png",
            ],
        );
        root
    }

    fn read(root: &Path, name: &str, bytes: &[u8]) -> Result<DataSet> {
        let list = root.join(name);
        fs::write(&list, bytes).unwrap();
        match name.rsplit_once('.').unwrap().1 {
            "csv" => read_csv(&list, LabelKind::Masks),
            "jsonl" => read_jsonl(&list, LabelKind::Masks),
            _ => read_words(&list),
        }
    }

    fn counts(set: &DataSet) -> (usize, usize, usize) {
        (set.train.len(), set.val.len(), set.test.len())
    }

    #[test]
    fn a_photo_has_one_label() {
        let root = folder();
        let error = read(
            root.path(),
            "list.csv",
            b"a.jpg,a.png\nb.jpg,b.png\na.jpg,z.png\n",
        );
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("two labels") && error.contains("z.png"),
            "{error}"
        );
    }

    #[test]
    fn a_list_of_words_may_name_its_columns() {
        let root = folder();
        for header in ["image mask", "rgb,depth", "photo\tlabel"] {
            let list = format!("{header}\na.jpg a.png\nb.jpg b.png\n");
            let set = read(root.path(), "list.txt", list.as_bytes()).unwrap();
            assert_eq!(counts(&set), (2, 0, 0), "{header}");
        }
    }

    #[test]
    fn both_kinds_of_list_read_alike() {
        let root = folder();
        let csv = "photo,label,split\na.jpg,a.png,train\nb.jpg,b.png,val\n";
        let jsonl = "{\"image\":\"a.jpg\",\"mask\":\"a.png\"}\n\n{\"photo\":\"b.jpg\",\"label\":\"b.png\",\"split\":\"val\"}\n";
        let set = read(root.path(), "list.csv", csv.as_bytes()).unwrap();
        assert_eq!(
            set,
            read(root.path(), "list.jsonl", jsonl.as_bytes()).unwrap()
        );
        assert_eq!(counts(&set), (1, 1, 0));
        let error = read(root.path(), "list.csv", b"a.jpg,missing.png\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 1") && error.contains("missing.png is no file"),
            "{error}"
        );
        let error = read(root.path(), "list.csv", b"a.jpg,a.png,518.8\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("\"518.8\""), "{error}");
    }

    #[test]
    fn spreadsheets_write_lists_in_many_ways() {
        let root = folder();
        let plain = read(root.path(), "list.csv", b"a.jpg,a.png\nb.jpg,b.png,val").unwrap();
        assert_eq!(counts(&plain), (1, 1, 0));
        for text in [
            "a.jpg;a.png\nb.jpg;b.png;VAL\n",
            "sep=;\r\na.jpg;a.png\r\nb.jpg;b.png;val\r\n",
            "a.jpg\ta.png\t\rb.jpg\tb.png\tvalidation\r",
            "Set;Depth Path;note;Image\n;a.png;1;a.jpg\nval;b.png;2;b.jpg",
            "\"a.jpg\", \"a.png\", train\n\n\".\\b.jpg\", \".\\b.png\", Val\n",
        ] {
            for bytes in encodings(text) {
                let mut set = read(root.path(), "list.csv", &bytes).unwrap();
                set.train.iter_mut().chain(&mut set.val).for_each(|pair| {
                    for path in [&mut pair.photo, &mut pair.label] {
                        *path = path.components().collect();
                    }
                });
                assert_eq!(
                    (&set.train, &set.val),
                    (&plain.train, &plain.val),
                    "{text:?}"
                );
            }
        }
        let text = format!("image,mask\n{0}/in/c 1,2.jpg;x\n", root.path().display());
        assert!(read(root.path(), "list.csv", text.as_bytes()).is_err());
        let text = format!(
            "{0}/in/c 1,2.jpg;in\\c 1,2.png\nz\u{fc}.jpg;z.png;test\n",
            root.path().display()
        );
        let set = read(root.path(), "list.csv", text.as_bytes()).unwrap();
        assert_eq!(counts(&set), (1, 0, 1));
        assert!(
            set.notes[0].contains("Zu\u{308}.JPG for"),
            "{:?}",
            set.notes
        );
    }

    #[test]
    fn of_several_labels_those_of_the_task_are_taken() {
        let names = ["file", "depth", "mask", "image"];
        let of = |kind| Column::from_header(names.into_iter(), kind);
        let (photo, label) = (Some(Column::Photo), Some(Column::Label));
        assert_eq!(of(LabelKind::Masks), [None, None, label, photo]);
        assert_eq!(of(LabelKind::Depth), [None, label, None, photo]);
        assert_eq!(
            Column::from_header(["file", "gt"].into_iter(), LabelKind::Depth),
            [photo, label]
        );
    }

    #[test]
    fn lists_of_words_name_files_from_their_folder() {
        let root = folder();
        touch(
            root.path(),
            &[
                "input/d/1.png",
                "gt_depth/e/1.png",
                "image/f 2.png",
                "depth/g 2.png",
                "q r.jpg",
                "s.jpg",
            ],
        );
        let text = "d/1.png e/1.png 721.5\n/a.jpg /a.png 518.8\nd/2.png None 721.5\nf 2.png g 2.png 518.8\n\
                    in/c 1,2.jpg in/c 1,2.png\n1305.2 b.jpg 1305.3 b.png\n\"q r.jpg\" a.png\ns.jpg\tb.png\n";
        for bytes in encodings(text) {
            let set = read(root.path(), "test.txt", &bytes).unwrap();
            assert_eq!((set.train.len(), set.unlabelled.len()), (7, 1));
            for pair in &set.train {
                assert!(pair.photo.is_file() && pair.label.is_file(), "{pair:?}");
            }
        }
        let error = read(root.path(), "test.txt", b"alone\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
