//! The history of one output: its `begun` and `done` lines, and which of them accounts for the file that exists.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::manifest::entry::EntryState;
use crate::io::manifest::{ExpectedOrigin, OutputFreshness, StaleReasons};
use crate::system::files::{Digest, FileStamp};

/// Digests of recipe and fit; shared by most photos of a run.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RecipeAndFit {
    /// See [`ManifestEntry::recipe`](crate::io::manifest::ManifestEntry::recipe).
    pub recipe: Digest,
    /// See [`ManifestEntry::fit`](crate::io::manifest::ManifestEntry::fit).
    pub fit: Option<Digest>,
}

/// What an output was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputOrigin {
    /// Stamp of the photo.
    pub photo: Arc<FileStamp>,
    /// The settings and the fit.
    pub recipe_and_fit: Arc<RecipeAndFit>,
}

impl OutputOrigin {
    /// Stamp of the photo.
    pub fn photo(&self) -> &FileStamp {
        &self.photo
    }

    /// Digest of the fit, if there is one.
    pub fn fit(&self) -> Option<&Digest> {
        self.recipe_and_fit.fit.as_ref()
    }

    /// Whether its recipe is this one.
    pub fn has_recipe(&self, recipe: &Digest) -> bool {
        self.recipe_and_fit.recipe == *recipe
    }

    /// Compares it with the origin `wanted`: fresh or stale.
    pub fn freshness(&self, wanted: &ExpectedOrigin<'_>) -> OutputFreshness {
        let reasons = StaleReasons {
            is_photo_changed: self.photo.digest != wanted.photo.digest,
            is_recipe_changed: self.recipe_and_fit.recipe != *wanted.recipe,
            is_fit_changed: self.recipe_and_fit.fit.as_ref() != wanted.fit,
            is_unfinished: false,
        };
        match reasons == StaleReasons::default() {
            true => OutputFreshness::Fresh,
            false => OutputFreshness::Stale(reasons),
        }
    }
}

/// A `begun` line without a `done` line: an output that was about to be written.
#[derive(Debug, Clone)]
struct PendingWrite {
    origin: OutputOrigin,
    /// Stamp of the file that was to be replaced; `None` if there was no file.
    replaced: Option<FileStamp>,
    /// Whether that file was to be overwritten in place.
    in_place: bool,
    /// See [`ManifestLine::time`](crate::io::manifest::entry::ManifestLine::time).
    time: u64,
}

/// Which line of the manifest accounts for an existing output.
#[derive(Debug, Clone, Copy)]
pub(super) enum OutputAttribution<'h> {
    /// The last `done` line: the output has its stamp.
    Done(&'h OutputOrigin),
    /// A `begun` line of a run that ended before it wrote `done`.
    Begun(&'h OutputOrigin),
    /// A write that did not complete, with its origin if it is known: an interrupted write in place, or a power loss
    /// before the content reached the disk.
    Unfinished(Option<&'h OutputOrigin>),
    /// No line: the output was modified afterwards, or made by something else.
    Unknown,
}

impl<'h> OutputAttribution<'h> {
    /// What the output was made from, if that is known.
    pub fn origin(self) -> Option<&'h OutputOrigin> {
        match self {
            OutputAttribution::Done(origin) | OutputAttribution::Begun(origin) => Some(origin),
            OutputAttribution::Unfinished(origin) => origin,
            OutputAttribution::Unknown => None,
        }
    }

    /// Compares the output with the origin `wanted`.
    pub fn freshness(self, wanted: &ExpectedOrigin<'_>) -> OutputFreshness {
        match self {
            OutputAttribution::Done(origin) | OutputAttribution::Begun(origin) => {
                origin.freshness(wanted)
            }
            OutputAttribution::Unfinished(_) => OutputFreshness::Stale(StaleReasons {
                is_photo_changed: true,
                is_unfinished: true,
                ..StaleReasons::default()
            }),
            OutputAttribution::Unknown => OutputFreshness::Foreign,
        }
    }
}

/// The lines about one output that are still relevant: the last `done` and later `begun` lines.
#[derive(Debug, Clone, Default)]
pub(super) struct OutputHistory {
    done: Option<(OutputOrigin, FileStamp)>,
    /// Time of the last `done` line.
    done_at: u64,
    /// `begun` lines since then, oldest first.
    pending_writes: Vec<PendingWrite>,
}

impl OutputHistory {
    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.done.is_none() && self.pending_writes.is_empty()
    }

    /// Whether there is a `done` line.
    pub fn is_done(&self) -> bool {
        self.done.is_some()
    }

    /// Whether the output at `path` has the stamp of the last `done` line; false without one.
    ///
    /// # Errors
    /// Names the output that cannot be read.
    pub fn is_unchanged(&self, path: &Path) -> Result<bool> {
        match &self.done {
            Some((_, stamp)) => stamp.matches_file(path),
            None => Ok(false),
        }
    }

    /// Finds the line that accounts for the existing file or folder at `path`, by the rules in
    /// [the module](crate::io::manifest).
    ///
    /// # Errors
    /// Names the output that cannot be read.
    pub fn attribute(&self, path: &Path) -> Result<OutputAttribution<'_>> {
        if self.is_empty() {
            return Ok(OutputAttribution::Unknown);
        }
        if let Some((origin, stamp)) = &self.done
            && stamp.matches_file(path)?
        {
            return Ok(OutputAttribution::Done(origin));
        }
        let mut author = None;
        for (later, write) in self.pending_writes.iter().rev().enumerate() {
            let was_there = match &write.replaced {
                Some(stamp) => stamp.matches_file(path)?,
                None => false,
            };
            if !was_there {
                author = Some((write, later == 0));
                break;
            }
        }
        let had_content = self.done.as_ref().is_none_or(|(_, stamp)| stamp.bytes > 0);
        let is_cut_short = author.is_some_and(|(write, is_last)| is_last && write.in_place);
        let origin = author.map(|(write, _)| &write.origin);
        Ok(match origin {
            _ if is_cut_short || had_content && is_empty_file(path)? => {
                OutputAttribution::Unfinished(origin)
            }
            Some(origin) => OutputAttribution::Begun(origin),
            None => OutputAttribution::Unknown,
        })
    }

    /// Adds a line. Lines of one file must be added in order; those of another file may be earlier than those already
    /// added.
    pub fn insert(
        &mut self,
        (state, in_place): (EntryState, bool),
        time: u64,
        origin: &OutputOrigin,
        stamp: Option<&FileStamp>,
    ) {
        if time < self.done_at {
            return;
        }
        match state {
            EntryState::Done => {
                self.done = stamp.map(|stamp| (origin.clone(), stamp.clone()));
                self.done_at = time;
                // Lines of another file may be later.
                self.pending_writes.retain(|write| write.time > time);
                if self.pending_writes.is_empty() {
                    // Frees the memory, which `retain` keeps.
                    self.pending_writes = Vec::new();
                }
            }
            EntryState::Begun => {
                let index = self
                    .pending_writes
                    .partition_point(|write| write.time <= time);
                // Two consecutive writes from the same origin: which of them made the output does not matter.
                if index > 0 && self.pending_writes[index - 1].origin == *origin {
                    self.pending_writes[index - 1].in_place |= in_place;
                    return;
                }
                self.pending_writes.insert(
                    index,
                    PendingWrite {
                        origin: origin.clone(),
                        replaced: stamp.cloned(),
                        in_place,
                        time,
                    },
                );
            }
            EntryState::Failed => {}
        }
    }

    /// The stamp of the file or folder at `path`; `None` if there is none. A file with the size and time of its last
    /// `done` line is not read.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn stamp_of(&self, path: &Path) -> Result<Option<FileStamp>> {
        match (fs::metadata(path), &self.done) {
            (Ok(metadata), Some((_, stamp))) if stamp.matches_metadata(&metadata) => {
                Ok(Some(stamp.clone()))
            }
            (Ok(metadata), _) if metadata.is_file() || metadata.is_dir() => {
                FileStamp::of_file(path).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Whether `path` is a file of 0 bytes, as a loss of power may leave a new file.
fn is_empty_file(path: &Path) -> Result<bool> {
    let metadata = fs::metadata(path).map_err(|error| Error::io(path, &error))?;
    Ok(metadata.is_file() && metadata.len() == 0)
}
