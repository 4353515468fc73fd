//! Adds the files that match a glob pattern, in natural order; `*`, `?`, `[…]` and `**` as the crate `glob` defines
//! them.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::collector::{InputCollector, mirrored};
use crate::error::{Error, Result};
use crate::io::inputs::{archive, natural};

impl InputCollector {
    /// Adds what a pattern matches: photos, the photos in tars, and with `recursive` those in folders. Outputs mirror
    /// the paths below the leading folders without a wildcard.
    ///
    /// # Errors
    /// If the pattern is invalid or matches no photo.
    pub(super) fn add_glob(&mut self, pattern: &str) -> Result<()> {
        let options = glob::MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..glob::MatchOptions::new()
        };
        let root = fixed_prefix(Path::new(pattern));
        let parts = Path::new(pattern).components();
        let below = parts.filter(|part| *part != Component::CurDir);
        let below: PathBuf = below.skip(root.components().count()).collect();
        let wanted = glob::Pattern::new(&below.to_string_lossy()).map_err(|error| {
            let why = format!("no such file, and not a pattern either: {}", error.msg);
            Error::file(pattern, why)
        })?;
        if below.components().any(|part| part == Component::ParentDir) {
            let why = "has `..` behind a wildcard, where nothing is looked for; put it before";
            return Err(Error::file(pattern, why));
        }
        // Folders are entered only if something in them may match.
        let names = below
            .iter()
            .map(|part| glob::Pattern::new(&part.to_string_lossy()));
        let names: Vec<glob::Pattern> = names.filter_map(std::result::Result::ok).collect();
        let fixed_depth = below.iter().take_while(|part| *part != "**").count();
        let may_match = |entry: &DirEntry| match entry.depth() {
            0 => true,
            depth if depth <= fixed_depth => names.get(depth - 1).is_none_or(|name| {
                name.matches_with(&entry.file_name().to_string_lossy(), options)
            }),
            _ => true,
        };
        let wants_folders = pattern.ends_with(std::path::is_separator);
        let depth = match pattern.contains("**") {
            true => usize::MAX,
            false => below.components().count(),
        };
        let from = match root.as_os_str().is_empty() {
            true => Path::new("."),
            false => &root,
        };
        let is_wanted = |path: &Path| {
            let below = path.strip_prefix(from).unwrap_or(path);
            let matches = wanted.matches_with(&below.to_string_lossy(), options);
            matches.then(|| root.join(below))
        };
        let mut paths: Vec<PathBuf> = Vec::new();
        // The crate `glob` panics at names that are not UTF-8, so folders are walked here.
        let walk = WalkDir::new(from).max_depth(depth).follow_links(true);
        for entry in walk.into_iter().filter_entry(may_match) {
            match entry {
                Ok(entry) if entry.depth() == 0 => {}
                Ok(entry) if wants_folders && !entry.file_type().is_dir() => {}
                Ok(entry) => paths.extend(is_wanted(entry.path())),
                Err(error) if error.loop_ancestor().is_some() => {}
                // For instance a dangling link.
                Err(error) => paths.extend(error.path().and_then(is_wanted)),
            }
        }
        paths.sort_by(|a, b| compare_components(a, b));
        self.summary_mut();
        let before = self.candidates_seen;
        for path in paths {
            if path.is_dir() {
                if self.recursive {
                    self.search(&path, &root);
                }
            } else if archive::is_tar_name(&path) {
                let relative = mirrored(path.strip_prefix(&root).unwrap_or(&path));
                self.add_or_record_failure(path.clone(), |collector| {
                    collector.add_archive(&path, &relative).map(|_| ())
                })?;
            } else {
                self.add_if_photo(&path, &root);
            }
        }
        if self.candidates_seen == before {
            let why = self.reason_for_none();
            let why = why.unwrap_or_else(|| "this pattern matches no image".into());
            return Err(Error::file(pattern, why));
        }
        Ok(())
    }
}

/// The input as a pattern, if it has a wildcard and is UTF-8.
pub(super) fn as_glob(input: &OsStr) -> Option<&str> {
    input.to_str().filter(|text| text.contains(['*', '?', '[']))
}

/// The leading folders of a pattern that contain no wildcard.
fn fixed_prefix(pattern: &Path) -> PathBuf {
    let folder = pattern.parent().unwrap_or(Path::new(""));
    let is_literal = |part: &Component| as_glob(part.as_os_str()).is_none();
    // Matched paths have no leading "./".
    folder
        .components()
        .take_while(is_literal)
        .filter(|part| *part != Component::CurDir)
        .collect()
}

/// Natural order of paths, component by component; a folder comes before what is in it.
fn compare_components(a: &Path, b: &Path) -> Ordering {
    let (mut a, mut b) = (a.iter(), b.iter());
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (Some(a), Some(b)) => natural::compare(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        if order.is_ne() {
            return order;
        }
    }
}
