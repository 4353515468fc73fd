//! Lists of words between white space, as the benchmarks of NYU Depth V2 and KITTI (photo, depth map and focal length)
//! and TUM's associations (time, photo, time, depth map) have them.

use std::path::{Path, PathBuf};

use super::columns::header;
use super::parser::ListParser;
use crate::error::Result;
use crate::learn::data::data_set::{DataSet, DataSplit, LabelKind, LabelledPair};

/// Reads a list with a photo, its label and perhaps a focal length in each line, as the benchmarks of NYU Depth V2 and
/// KITTI have them. Paths are relative to the list's folder, or to `input/` or `image/` and `gt_depth/` or `depth/` in
/// it. Photos whose label is `None` count as unlabelled. Paths with spaces are in quotes, or are recognised by the
/// files that exist. Of TUM's associations (time, photo, time, depth map) the paths are taken.
///
/// # Errors
/// Where the list cannot be read; a line of one word, with its number.
pub(in crate::learn::data) fn read_words(path: &Path) -> Result<DataSet> {
    let mut list = ListParser::new(path);
    let text = list.text()?;
    // Whether a line of data has been read, so that no header can follow.
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
        // A missing file is reported when it is read; the rest of a benchmark can be used without it.
        if let Some((photo, label)) = found.or(named) {
            list.set
                .add(DataSplit::Train, LabelledPair { photo, label });
        }
    }
    list.finish()
}

/// The words between white space; what is quoted is one word.
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

/// The pairs of a photo and a label that a line may name, the likeliest first.
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
