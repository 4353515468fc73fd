//! File names of parts: `PREFIX-NUMBER.EXTENSION`.

use std::path::Path;

/// Minimum number of digits of a part's number; shorter numbers have leading zeros.
const DIGITS: usize = 5;

/// The name of the file of the part `number` of `prefix`: `part-00003.parquet`.
pub(super) fn part_file_name(prefix: &str, number: usize, extension: &str) -> String {
    format!("{prefix}-{number:0DIGITS$}.{extension}")
}

/// The prefix and the number in the file name of a part; `None` if the name does not have the form of
/// [`part_file_name`].
pub(super) fn parse_part_name(path: &Path) -> Option<(String, usize)> {
    let (prefix, number) = path.file_stem()?.to_str()?.rsplit_once('-')?;
    let is_number = number.len() >= DIGITS && number.bytes().all(|digit| digit.is_ascii_digit());
    match is_number {
        true => Some((prefix.to_owned(), number.parse().ok()?)),
        false => None,
    }
}
