//! Failures on record, summed by what kind they are.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::io::manifest::entry::{EntryState, ManifestLine};
use crate::io::manifest::files::{read_file, require_manifest_files};
use crate::io::manifest::index::PathKey;
use crate::io::manifest::output_names::path_from_bytes;
use crate::io::manifest::{FailureKind, PhotoFailure};

/// Failures of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup {
    /// What kind.
    pub kind: FailureKind,
    /// How many tasks failed with a photo, and nothing was made of it since.
    pub count: usize,
    /// The task of the first of them.
    pub task: String,
    /// Its photo.
    pub input: PathBuf,
    /// Which page of it, where it has several.
    pub page: Option<u32>,
    /// Why.
    pub message: String,
}

/// The latest failure of a task with a photo.
struct LatestFailure {
    time: u64,
    failure: PhotoFailure,
    task: String,
    input: PathBuf,
    page: u32,
}

/// The failures on the record of `folder` that nothing was made since of, the most frequent kind first.
///
/// # Errors
/// Names the folder if it has no record, the file that cannot be read, and its line that is not understood.
pub fn summarise_failures(folder: &Path) -> Result<Vec<FailureGroup>> {
    let files = require_manifest_files(folder)?;
    let mut all: HashMap<PathKey, LatestFailure> = HashMap::new();
    let key = |line: &ManifestLine| PathKey::of_photo(&line.task, &line.photo_name());
    for file in &files {
        read_file(file, |line, _| {
            let Some(failure) = &line.error else {
                return Ok(());
            };
            let key = key(line);
            if all.get(&key).is_none_or(|known| known.time <= line.time) {
                let (input, page) = line.photo_name();
                let latest = LatestFailure {
                    time: line.time,
                    failure: failure.clone(),
                    task: line.task.clone(),
                    input: path_from_bytes(&input),
                    page,
                };
                all.insert(key, latest);
            }
            Ok(())
        })?;
    }
    // What was made since may be noted in another file.
    let again = if all.is_empty() { &[][..] } else { &files };
    for file in again {
        read_file(file, |line, _| {
            if line.state == EntryState::Done
                && let key = key(line)
                && all.get(&key).is_some_and(|known| known.time <= line.time)
            {
                all.remove(&key);
            }
            Ok(())
        })?;
    }
    let mut all: Vec<LatestFailure> = all.into_values().collect();
    all.sort_by(|a, b| (a.time, &a.input, a.page).cmp(&(b.time, &b.input, b.page)));
    let mut groups: BTreeMap<FailureKind, FailureGroup> = BTreeMap::new();
    for latest in all {
        let group = groups.entry(latest.failure.kind);
        let group = group.or_insert_with(|| FailureGroup {
            kind: latest.failure.kind,
            count: 0,
            task: latest.task,
            input: latest.input,
            page: (latest.page > 0).then_some(latest.page),
            message: latest.failure.message,
        });
        group.count += 1;
    }
    let mut groups: Vec<FailureGroup> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    Ok(groups)
}
