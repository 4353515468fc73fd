//! Failures in a manifest, grouped by kind.

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
    /// The kind.
    pub kind: FailureKind,
    /// Number of (task, photo) pairs that failed and have not succeeded since.
    pub count: usize,
    /// Task of the first failure.
    pub task: String,
    /// Photo of the first failure.
    pub input: PathBuf,
    /// Its page, from 1; `None` if the photo has one page.
    pub page: Option<u32>,
    /// Message of the first failure.
    pub message: String,
}

/// The latest failure of a task on a photo.
struct LatestFailure {
    time: u64,
    failure: PhotoFailure,
    task: String,
    input: PathBuf,
    page: u32,
}

/// The failures in the manifest of `folder` that were not followed by success, grouped, the most frequent kind first.
///
/// # Errors
/// Names the folder if it has no manifest, the file that cannot be read, and its line that is not understood.
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
    // A later success may be in another file.
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
