//! What the lines of a record say about one output.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::manifest::entry::EntryState;
use crate::io::manifest::{ExpectedOrigin, OutputFreshness, StaleReasons};
use crate::system::files::{Digest, FileStamp};

/// The recipe and the fit, which most photos of a run share.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RecipeAndFit {
    /// See [`Entry::is_recipe_changed`](crate::io::manifest::Entry::is_recipe_changed).
    pub recipe: Digest,
    /// See [`Entry::is_fit_changed`](crate::io::manifest::Entry::is_fit_changed).
    pub fit: Option<Digest>,
}

/// What an output was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputOrigin {
    /// The photo.
    pub photo: Arc<FileStamp>,
    /// How.
    pub recipe_and_fit: Arc<RecipeAndFit>,
}

impl OutputOrigin {
    /// The photo.
    pub fn photo(&self) -> &FileStamp {
        &self.photo
    }

    /// What was fitted to other photos.
    pub fn fit(&self) -> Option<&Digest> {
        self.recipe_and_fit.fit.as_ref()
    }

    /// Whether it was made by this recipe.
    pub fn has_recipe(&self, recipe: &Digest) -> bool {
        self.recipe_and_fit.recipe == *recipe
    }

    /// Compares it with what is wanted.
    pub fn freshness(&self, wanted: &ExpectedOrigin<'_>) -> OutputFreshness {
        let difference = StaleReasons {
            is_photo_changed: self.photo.digest != wanted.photo.digest,
            is_recipe_changed: self.recipe_and_fit.recipe != *wanted.recipe,
            is_fit_changed: self.recipe_and_fit.fit.as_ref() != wanted.fit,
            is_unfinished: false,
        };
        match difference == StaleReasons::default() {
            true => OutputFreshness::Fresh,
            false => OutputFreshness::Stale(difference),
        }
    }
}

/// An output that was about to be written.
#[derive(Debug, Clone)]
struct PendingWrite {
    origin: OutputOrigin,
    /// What was in its place.
    replaced: Option<FileStamp>,
    /// Whether it was written over that.
    in_place: bool,
    /// See [`Line::time`].
    time: u64,
}

/// What an output that is there is by the lines about it.
#[derive(Debug, Clone, Copy)]
pub(super) enum OutputAttribution<'h> {
    /// As the last of them has it that says that it is done.
    Done(&'h OutputOrigin),
    /// Made by a run that did not come to note it.
    Begun(&'h OutputOrigin),
    /// Not all of what was to be there: it was written in place and that did not end, or power was lost before its content
    /// was on the disk. With who may have made it.
    Unfinished(Option<&'h OutputOrigin>),
    /// None of them is about it as it is.
    Unknown,
}

impl<'h> OutputAttribution<'h> {
    /// What it was made from, if that is known.
    pub fn origin(self) -> Option<&'h OutputOrigin> {
        match self {
            OutputAttribution::Done(origin) | OutputAttribution::Begun(origin) => Some(origin),
            OutputAttribution::Unfinished(origin) => origin,
            OutputAttribution::Unknown => None,
        }
    }

    /// How it stands to what is wanted.
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

/// What is known about one output.
#[derive(Debug, Clone, Default)]
pub(super) struct OutputHistory {
    done: Option<(OutputOrigin, FileStamp)>,
    /// Of the last line that says that it is done.
    done_at: u64,
    /// Begun since then and not known to be done, oldest first.
    pending_writes: Vec<PendingWrite>,
}

impl OutputHistory {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.done.is_none() && self.pending_writes.is_empty()
    }

    /// Whether a line says that it is done.
    pub fn is_done(&self) -> bool {
        self.done.is_some()
    }

    /// Whether it is as it was then.
    ///
    /// # Errors
    /// Names what cannot be read.
    pub fn is_unchanged(&self, path: &Path) -> Result<bool> {
        match &self.done {
            Some((_, stamp)) => stamp.matches_file(path),
            None => Ok(false),
        }
    }

    /// What the file or folder at `path`, which is there, is by these lines.
    ///
    /// # Errors
    /// Names what cannot be read.
    pub fn attribute(&self, path: &Path) -> Result<OutputAttribution<'_>> {
        if self.is_empty() {
            return Ok(OutputAttribution::Unknown);
        }
        if let Some((origin, stamp)) = &self.done
            && stamp.matches_file(path)?
        {
            return Ok(OutputAttribution::Done(origin));
        }
        let mut maker = None;
        for (later, begun) in self.pending_writes.iter().rev().enumerate() {
            let was_there = match &begun.replaced {
                Some(stamp) => stamp.matches_file(path)?,
                None => false,
            };
            if !was_there {
                maker = Some((begun, later == 0));
                break;
            }
        }
        let had_content = self.done.as_ref().is_none_or(|(_, stamp)| stamp.bytes > 0);
        let is_cut_short = maker.is_some_and(|(begun, is_last)| is_last && begun.in_place);
        let origin = maker.map(|(begun, _)| &begun.origin);
        Ok(match origin {
            _ if is_cut_short || had_content && is_empty_file(path)? => {
                OutputAttribution::Unfinished(origin)
            }
            Some(origin) => OutputAttribution::Begun(origin),
            None => OutputAttribution::Unknown,
        })
    }

    /// Takes in a line, which may be earlier than others that are known, where it is from another file.
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
                // In one file, all that is known is earlier.
                self.pending_writes.retain(|begun| begun.time > time);
                if self.pending_writes.is_empty() {
                    // With its memory.
                    self.pending_writes = Vec::new();
                }
            }
            EntryState::Begun => {
                let place = self
                    .pending_writes
                    .partition_point(|begun| begun.time <= time);
                // Whichever of them made it, it was made from the same.
                if place > 0 && self.pending_writes[place - 1].origin == *origin {
                    self.pending_writes[place - 1].in_place |= in_place;
                    return;
                }
                self.pending_writes.insert(
                    place,
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

    /// The stamp of what is at `path`, if anything is that has one; a file is not read where its size and time tell that
    /// it is the one that was made.
    ///
    /// # Errors
    /// Names what cannot be read.
    pub fn stamp_of(&self, path: &Path) -> Result<Option<FileStamp>> {
        match (fs::metadata(path), &self.done) {
            (Ok(met), Some((_, stamp))) if stamp.matches_metadata(&met) => Ok(Some(stamp.clone())),
            (Ok(met), _) if met.is_file() || met.is_dir() => FileStamp::of_file(path).map(Some),
            _ => Ok(None),
        }
    }
}

/// After a loss of power, a new file may be there without its content.
fn is_empty_file(path: &Path) -> Result<bool> {
    let met = fs::metadata(path).map_err(|error| Error::io(path, &error))?;
    Ok(met.is_file() && met.len() == 0)
}
