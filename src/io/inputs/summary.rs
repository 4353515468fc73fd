//! The summary of a search through folders, patterns and tars: photos by format, and the files that were skipped, by
//! kind and with the reason.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The kind of tars that a search finds; they are read only if the user names them.
pub(super) const TARS: &str = "tar archives";
/// The kind of pictures in a tar that accompany the photo of their sample.
pub(super) const COMPANION_PICTURES: &str = "further pictures of samples";
/// The kind of tar members that are replaced by later ones of the same name.
pub(super) const REPEATED_MEMBERS: &str = "earlier members of the same name";
/// The kind of tar members whose content is not stored contiguously.
pub(super) const LINKS_AND_SPARSE: &str = "links and sparse files in tars";

/// Kinds whose names are already plurals, for messages.
pub(crate) const PLURAL_KINDS: [&str; 4] =
    [TARS, COMPANION_PICTURES, REPEATED_MEMBERS, LINKS_AND_SPARSE];

/// What a search found and what it skipped.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SearchSummary {
    /// The number of photos, by format.
    pub photos: BTreeMap<&'static str, usize>,
    /// Files that are not photos or cannot be decoded on this machine, by kind.
    pub skipped: BTreeMap<&'static str, SkippedFiles>,
}

/// Files of one kind that were skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedFiles {
    /// Number of files.
    pub files: usize,
    /// The path of the first.
    pub first: PathBuf,
    /// Why the first was skipped, as text that follows its path.
    pub reason: String,
    /// How likely the user expected them to be processed.
    pub severity: SkipSeverity,
}

/// How likely the user expected skipped files to be processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipSeverity {
    /// Not expected: files that are not supported images, and pictures that this program wrote.
    Irrelevant,
    /// Possibly expected: video clips, tars, further pictures of samples.
    MaybeWanted,
    /// Photos that cannot be decoded on this machine, so that the run fails in part.
    Failed,
}

impl SearchSummary {
    /// Counts a photo of `format`.
    pub(super) fn count(&mut self, format: &'static str) {
        *self.photos.entry(format).or_default() += 1;
    }

    /// Adds the summary of another search.
    pub fn add(&mut self, other: SearchSummary) {
        for (format, photos) in other.photos {
            *self.photos.entry(format).or_default() += photos;
        }
        for (kind, of_kind) in other.skipped {
            match self.skipped.get_mut(kind) {
                Some(known) => known.files += of_kind.files,
                None => drop(self.skipped.insert(kind, of_kind)),
            }
        }
    }

    /// Counts a skipped file; `reason` is called only for the first of a kind.
    pub(super) fn count_skipped(
        &mut self,
        kind: &'static str,
        path: &Path,
        severity: SkipSeverity,
        reason: impl FnOnce() -> String,
    ) {
        let of_kind = self.skipped.entry(kind).or_insert_with(|| SkippedFiles {
            files: 0,
            first: path.to_owned(),
            reason: reason(),
            severity,
        });
        of_kind.files += 1;
    }

    /// The summary as JSON: `photos` (counts by format), and `passed_over`, a list with `kind`, `files` (number),
    /// `first` (path) and `why`.
    pub fn to_json(&self) -> Value {
        let skipped: Vec<Value> = self
            .skipped
            .iter()
            .map(|(kind, of_kind)| {
                json!({
                    "kind": kind,
                    "files": of_kind.files,
                    "first": of_kind.first.to_string_lossy(),
                    "why": of_kind.reason,
                })
            })
            .collect();
        json!({"photos": self.photos, "passed_over": skipped})
    }
}

impl fmt::Display for SearchSummary {
    /// Writes one line: the number of photos of each format, and of skipped files of each kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: usize = self.photos.values().sum();
        write!(
            f,
            "found {count} photo{}",
            if count == 1 { "" } else { "s" }
        )?;
        if count > 0 {
            let formats: Vec<String> = self
                .photos
                .iter()
                .map(|(format, count)| format!("{count} {format}"))
                .collect();
            write!(f, " ({})", formats.join(", "))?;
        }
        if !self.skipped.is_empty() {
            let kinds: Vec<String> = self
                .skipped
                .iter()
                .map(|(kind, of_kind)| format!("{} {kind}", of_kind.files))
                .collect();
            write!(f, "; passed over {}", kinds.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_told_in_one_line() {
        let mut summary = SearchSummary::default();
        summary.count("PNG");
        summary.count("JPEG");
        summary.count("JPEG");
        for name in ["a.txt", "b.txt"] {
            summary.count_skipped(
                "other files",
                Path::new(name),
                SkipSeverity::Irrelevant,
                || "no image".into(),
            );
        }
        assert_eq!(
            summary.to_string(),
            "found 3 photos (2 JPEG, 1 PNG); passed over 2 other files"
        );
        let json = summary.to_json();
        assert_eq!(json["photos"]["JPEG"], 2);
        assert_eq!(json["passed_over"][0]["first"], "a.txt");
    }
}
