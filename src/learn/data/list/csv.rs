//! Lists of comma-separated values (RFC 4180, also with semicolons or tabs): `photo,label` or `photo,label,split` in
//! each line, or columns in any order that the first line names.

use std::path::Path;

use super::columns::{Column, header};
use super::parser::{ListLine, ListParser};
use crate::error::Result;
use crate::learn::data::data_set::{DataSet, LabelKind};
use crate::learn::data::file_names::FileFinder;

/// Reads a CSV list; the separator is the one that the list states (`sep=;`) or that fits best.
///
/// # Errors
/// Where the list cannot be read; a line that names no file or no split, or without named columns has other than two or
/// three fields, with its number.
pub(in crate::learn::data) fn read_csv(path: &Path, kind: LabelKind) -> Result<DataSet> {
    let mut list = ListParser::new(path);
    let mut text = list.text()?;
    let mut skipped = 0;
    // Excel states the separator in a first line `sep=;`.
    let stated = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("sep="));
    let stated = stated.and_then(|rest| rest.bytes().next());
    if stated.is_some() {
        skipped = 1;
        text = text
            .split_once('\n')
            .map_or("", |(_, rest)| rest)
            .to_owned();
    }
    let separator = stated.unwrap_or_else(|| separator(&text, list.folder));
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

/// The records of a CSV with the numbers of their lines (from 1), without empty lines.
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

/// A field without quotes: the `csv` crate leaves those that a space precedes.
fn unquoted(field: &str) -> String {
    field.trim().trim_matches('"').to_owned()
}

/// The separator of fields: the one with which most of the first 20 lines name two files, else the one that most have.
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
    // `max_by_key` takes the last of equals: the comma.
    let all = [b'\t', b';', b','].map(|separator| (score(separator), separator));
    all.into_iter()
        .max_by_key(|(score, _)| *score)
        .map_or(b',', |(_, separator)| separator)
}
