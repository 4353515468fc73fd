//! Lists of JSON lines: `{"photo": …, "label": …, "split": "val"}`, with the same names of keys as the columns of a
//! CSV.

use std::path::Path;

use serde_json::{Map, Value};

use super::columns::Column;
use super::parser::{ListLine, ListParser};
use crate::error::Result;
use crate::learn::data::data_set::{DataSet, LabelKind};

/// Reads a JSONL list.
///
/// # Errors
/// Where the list cannot be read; a line that is no JSON object with a photo and a label, or names no file or no split,
/// with its number.
pub(in crate::learn::data) fn read_jsonl(path: &Path, kind: LabelKind) -> Result<DataSet> {
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
