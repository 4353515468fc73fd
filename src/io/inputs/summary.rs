//! What a search through folders came across: photos by format, and what was passed over and why.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Tars that a search comes across.
pub(super) const TARS: &str = "tar archives";
/// Pictures in a tar that have the photo of their sample beside them.
pub(super) const COMPANION_PICTURES: &str = "further pictures of samples";
/// Members of a tar that others of the same name follow.
pub(super) const REPEATED_MEMBERS: &str = "earlier members of the same name";
/// Pictures in a tar that have no bytes of their own there, or not all of them.
pub(super) const LINKS_AND_SPARSE: &str = "links and sparse files in tars";

/// Kinds that are named as many are.
pub(crate) const PLURAL_KINDS: [&str; 4] =
    [TARS, COMPANION_PICTURES, REPEATED_MEMBERS, LINKS_AND_SPARSE];

/// Everything that a search saw.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SearchSummary {
    /// Photos by format.
    pub photos: BTreeMap<&'static str, usize>,
    /// Files that are no photos, or that cannot be read here, by kind.
    pub skipped: BTreeMap<&'static str, SkippedFiles>,
}

/// Files of one kind that were passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedFiles {
    /// How many there are.
    pub files: usize,
    /// The first of them.
    pub first: PathBuf,
    /// Why they were.
    pub reason: String,
    /// Whether somebody may have wanted them.
    pub severity: SkipSeverity,
}

/// How much files that were passed over are missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipSeverity {
    /// Not at all: texts, own pictures.
    Irrelevant,
    /// Perhaps: clips, tars.
    MaybeWanted,
    /// They are photos, so the run has failed in part.
    Failed,
}

impl SearchSummary {
    /// Counts a photo.
    pub(super) fn count(&mut self, format: &'static str) {
        *self.photos.entry(format).or_default() += 1;
    }

    /// Adds what another search saw.
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

    /// Counts a file that is passed over.
    pub(super) fn count_skipped(
        &mut self,
        kind: &'static str,
        path: &Path,
        missed: SkipSeverity,
        why: impl FnOnce() -> String,
    ) {
        let of_kind = self.skipped.entry(kind).or_insert_with(|| SkippedFiles {
            files: 0,
            first: path.to_owned(),
            reason: why(),
            severity: missed,
        });
        of_kind.files += 1;
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let passed_over: Vec<Value> = self
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
        json!({"photos": self.photos, "passed_over": passed_over})
    }
}

impl fmt::Display for SearchSummary {
    /// One line: how many photos of which formats, and how much else.
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
