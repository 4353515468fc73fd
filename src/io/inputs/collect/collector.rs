//! Gathers sources and failures in the order in which they are found, each file once, and counts what is skipped.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::collected::{CollectedInputs, InputFailure};
use crate::error::{Error, Result};
use crate::io::inputs::remote::{self, Fetcher};
use crate::io::inputs::sniff::{self, FileKind};
use crate::io::inputs::source::{Page, Source};
use crate::io::inputs::summary::{SearchSummary, SkipSeverity, TARS};
use crate::io::inputs::{archive, foreign};

/// The state of one [`collect`](super::collect).
#[derive(Default)]
pub(super) struct InputCollector {
    /// As [`InputRequest::recursive`](super::InputRequest::recursive).
    pub recursive: bool,
    /// As [`InputRequest::page`](super::InputRequest::page).
    pub page: Option<u32>,
    /// As [`InputRequest::max_bytes`](super::InputRequest::max_bytes).
    pub max_bytes: u64,
    /// As [`InputRequest::fetcher`](super::InputRequest::fetcher).
    pub fetcher: Option<Arc<Fetcher>>,
    /// What was found so far.
    pub collected: CollectedInputs,
    /// Canonical paths and URLs that were added already.
    pub seen: HashSet<PathBuf>,
    /// Canonical paths of folders, by the paths in the inputs.
    pub canonical_folders: HashMap<PathBuf, Option<PathBuf>>,
    /// Number of images and failures so far, including repeated ones, to detect inputs that lead to none.
    pub candidates_seen: usize,
}

impl InputCollector {
    /// Calls `add` for the input `path`; an error becomes a failure of this input.
    ///
    /// # Errors
    /// [`Error::Interrupted`] and [`Error::Usage`], which end the whole run.
    pub fn add_or_record_failure(
        &mut self,
        path: PathBuf,
        add: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        match add(self) {
            Err(fatal @ (Error::Interrupted | Error::Usage(_))) => Err(fatal),
            Err(error) => {
                let shown = path.to_str().map(remote::mask_address);
                self.push_failure(shown.map_or(path, PathBuf::from), error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Whether the file at `path`, of this `kind`, is taken as a photo; counts it in the summary as found or skipped.
    pub fn accept_photo(&mut self, kind: FileKind, path: &Path) -> bool {
        let summary = self.collected.summary.get_or_insert_default();
        let name = kind.name();
        let (severity, why) = match kind {
            FileKind::Image(_) => {
                summary.count(name);
                return true;
            }
            FileKind::Foreign(format) => match foreign::check_decoder(format) {
                Ok(()) => {
                    summary.count(name);
                    return true;
                }
                Err(why) => {
                    self.candidates_seen += 1;
                    (SkipSeverity::Failed, why)
                }
            },
            FileKind::OwnPicture => (SkipSeverity::Irrelevant, "dino made them".into()),
            FileKind::Clip(_) => (
                SkipSeverity::MaybeWanted,
                "is a video clip; name it itself to make a film of it, or take pictures out: ffmpeg -i CLIP -vf fps=1 frame-%05d.png"
                    .into(),
            ),
            FileKind::Tar => (
                SkipSeverity::MaybeWanted,
                "is a tar archive; name it to take the photos in it".into(),
            ),
            FileKind::UnsupportedPicture(_) => (
                SkipSeverity::Irrelevant,
                format!("{name} is not supported; convert it to JPEG or PNG first"),
            ),
            // It has the extension of an image, so the error is reported when it is decoded.
            FileKind::Other if sniff::is_image_name(path) => return true,
            FileKind::Other => match archive::explain_compressed_tar(path) {
                Some(why) => {
                    summary.count_skipped(TARS, path, SkipSeverity::MaybeWanted, || why);
                    return false;
                }
                None => (SkipSeverity::Irrelevant, "no images".into()),
            },
        };
        summary.count_skipped(name, path, severity, || why);
        false
    }

    /// Why a search found no photos, if it skipped files that the user may have meant.
    pub fn reason_for_none(&self) -> Option<String> {
        let skipped = &self.collected.summary.as_ref()?.skipped;
        let wanted = skipped
            .values()
            .find(|of_kind| of_kind.severity != SkipSeverity::Irrelevant)?;
        let first = wanted.first.display();
        Some(format!("no photos; {first}: {}", wanted.reason))
    }

    /// Adds a source with `count` pages, unless the same file was added before.
    pub fn push(&mut self, source: Source, count: u32) {
        self.candidates_seen += 1;
        let path = self.canonical_path(source.path());
        if self.seen.insert(path) {
            self.push_pages(source, count);
        }
    }

    /// The path that identifies a file: its canonical folder and its name (a link and its target are two files).
    pub fn canonical_path(&mut self, path: &Path) -> PathBuf {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let real = match self.canonical_folders.get(folder) {
            Some(real) => real.clone(),
            None => {
                let real = fs::canonicalize(folder).ok();
                self.canonical_folders
                    .insert(folder.to_owned(), real.clone());
                real
            }
        };
        match (real, path.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => path.to_owned(),
        }
    }

    /// Adds the pages of a source that has `count` of them: all, or the requested one.
    pub fn push_pages(&mut self, source: Source, count: u32) {
        let sources = &mut self.collected.sources;
        match (count, self.page) {
            (0 | 1, None | Some(1)) => sources.push(source),
            (of, None) => {
                sources.extend((1..=of).map(|number| source.with_page(Page { number, count: of })))
            }
            (of, Some(number)) if number <= of => {
                sources.push(source.with_page(Page { number, count: of }));
            }
            (of, Some(number)) => {
                let images = if of == 1 { "one image" } else { "images" };
                let why = match of {
                    1 => format!("holds {images}, so there is no page {number}"),
                    _ => format!("holds {of} {images}, so there is no page {number}"),
                };
                self.push_error(Error::file(source.path(), why));
            }
        }
    }

    /// The summary of the searches, which is created and becomes part of the result.
    pub fn summary_mut(&mut self) -> &mut SearchSummary {
        self.collected.summary.get_or_insert_default()
    }

    /// Adds one failure for each kind of photo whose converter is not installed.
    pub fn report_missing_programs(&mut self) {
        let Some(summary) = &self.collected.summary else {
            return;
        };
        let skipped = summary.skipped.iter();
        let mut failures = Vec::new();
        for (kind, of_kind) in
            skipped.filter(|(_, of_kind)| of_kind.severity == SkipSeverity::Failed)
        {
            let others = match of_kind.files {
                1 => String::new(),
                files => format!(" (and {} more {kind} files)", files - 1),
            };
            let why = format!("{}{others}", of_kind.reason);
            failures.push((of_kind.first.clone(), Error::file(&of_kind.first, why)));
        }
        for (path, error) in failures {
            self.push_failure(path, error);
        }
    }

    /// Adds a file that cannot be read as a failure.
    pub fn push_io_failure(&mut self, path: &Path, error: &std::io::Error) {
        self.push_error(Error::io(path, error));
    }

    /// Adds an error as a failure of the path that it names.
    pub fn push_error(&mut self, error: Error) {
        let path = match &error {
            Error::File { path, .. } => path.clone(),
            other => PathBuf::from(other.to_string()),
        };
        self.candidates_seen += 1;
        self.push_failure(path, error);
    }

    /// Adds a failure of the input `path`.
    fn push_failure(&mut self, path: PathBuf, error: Error) {
        self.collected.failures.push(InputFailure {
            path,
            error,
            sources_before: self.collected.sources.len(),
        });
    }
}

/// The path below the output folder that mirrors `path`: without a root and without `..`.
pub(super) fn mirrored(path: &Path) -> PathBuf {
    let mut mirrored = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => mirrored.push(name),
            Component::ParentDir => drop(mirrored.pop()),
            _ => {}
        }
    }
    mirrored
}
