//! What the lines of a record say about one output.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::manifest::entry::State;
use crate::io::manifest::{Difference, Standing, Wanted};
use crate::system::files::{Digest, Stamp};

/// The recipe and the fit, which most photos of a run share.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Procedure {
    /// See [`Entry::recipe`](crate::io::manifest::Entry::recipe).
    pub recipe: Digest,
    /// See [`Entry::fit`](crate::io::manifest::Entry::fit).
    pub fit: Option<Digest>,
}

/// What an output was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// The photo.
    pub photo: Arc<Stamp>,
    /// How.
    pub procedure: Arc<Procedure>,
}

impl Origin {
    /// The photo.
    pub fn photo(&self) -> &Stamp {
        &self.photo
    }

    /// What was fitted to other photos.
    pub fn fit(&self) -> Option<&Digest> {
        self.procedure.fit.as_ref()
    }

    /// Whether it was made by this recipe.
    pub fn is_by(&self, recipe: &Digest) -> bool {
        self.procedure.recipe == *recipe
    }

    /// Compares it with what is wanted.
    pub fn standing(&self, wanted: &Wanted<'_>) -> Standing {
        let difference = Difference {
            photo: self.photo.digest != wanted.photo.digest,
            recipe: self.procedure.recipe != *wanted.recipe,
            fit: self.procedure.fit.as_ref() != wanted.fit,
            unfinished: false,
        };
        match difference == Difference::default() {
            true => Standing::Same,
            false => Standing::Other(difference),
        }
    }
}

/// An output that was about to be written.
#[derive(Debug, Clone)]
struct Begun {
    origin: Origin,
    /// What was in its place.
    replaced: Option<Stamp>,
    /// Whether it was written over that.
    in_place: bool,
    /// See [`Line::time`].
    time: u64,
}

/// What an output that is there is by the lines about it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known<'h> {
    /// As the last of them has it that says that it is done.
    Done(&'h Origin),
    /// Made by a run that did not come to note it.
    Begun(&'h Origin),
    /// Not all of what was to be there: it was written in place and that did not end, or power was lost before its content
    /// was on the disk. With who may have made it.
    Unfinished(Option<&'h Origin>),
    /// None of them is about it as it is.
    Nothing,
}

impl<'h> Known<'h> {
    /// What it was made from, if that is known.
    pub fn origin(self) -> Option<&'h Origin> {
        match self {
            Known::Done(origin) | Known::Begun(origin) => Some(origin),
            Known::Unfinished(origin) => origin,
            Known::Nothing => None,
        }
    }

    /// How it stands to what is wanted.
    pub fn standing(self, wanted: &Wanted<'_>) -> Standing {
        match self {
            Known::Done(origin) | Known::Begun(origin) => origin.standing(wanted),
            Known::Unfinished(_) => Standing::Other(Difference {
                photo: true,
                unfinished: true,
                ..Difference::default()
            }),
            Known::Nothing => Standing::Foreign,
        }
    }
}

/// What is known about one output.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    done: Option<(Origin, Stamp)>,
    /// Of the last line that says that it is done.
    done_at: u64,
    /// Begun since then and not known to be done, oldest first.
    begun: Vec<Begun>,
}

impl History {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.done.is_none() && self.begun.is_empty()
    }

    /// Whether a line says that it is done.
    pub fn is_done(&self) -> bool {
        self.done.is_some()
    }

    /// Whether it is as it was then.
    ///
    /// # Errors
    /// Names what cannot be read.
    pub fn is_as_done(&self, path: &Path) -> Result<bool> {
        match &self.done {
            Some((_, stamp)) => stamp.still_is(path),
            None => Ok(false),
        }
    }

    /// What the file or folder at `path`, which is there, is by these lines.
    ///
    /// # Errors
    /// Names what cannot be read.
    pub fn look(&self, path: &Path) -> Result<Known<'_>> {
        if self.is_empty() {
            return Ok(Known::Nothing);
        }
        if let Some((origin, stamp)) = &self.done
            && stamp.still_is(path)?
        {
            return Ok(Known::Done(origin));
        }
        let mut maker = None;
        for (later, begun) in self.begun.iter().rev().enumerate() {
            let was_there = match &begun.replaced {
                Some(stamp) => stamp.still_is(path)?,
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
            _ if is_cut_short || had_content && is_empty_file(path)? => Known::Unfinished(origin),
            Some(origin) => Known::Begun(origin),
            None => Known::Nothing,
        })
    }

    /// Takes in a line, which may be earlier than others that are known, where it is from another file.
    pub fn insert(
        &mut self,
        (state, in_place): (State, bool),
        time: u64,
        origin: &Origin,
        stamp: Option<&Stamp>,
    ) {
        if time < self.done_at {
            return;
        }
        match state {
            State::Done => {
                self.done = stamp.map(|stamp| (origin.clone(), stamp.clone()));
                self.done_at = time;
                // In one file, all that is known is earlier.
                self.begun.retain(|begun| begun.time > time);
                if self.begun.is_empty() {
                    // With its memory.
                    self.begun = Vec::new();
                }
            }
            State::Begun => {
                let place = self.begun.partition_point(|begun| begun.time <= time);
                // Whichever of them made it, it was made from the same.
                if place > 0 && self.begun[place - 1].origin == *origin {
                    self.begun[place - 1].in_place |= in_place;
                    return;
                }
                self.begun.insert(
                    place,
                    Begun {
                        origin: origin.clone(),
                        replaced: stamp.cloned(),
                        in_place,
                        time,
                    },
                );
            }
            State::Failed => {}
        }
    }

    /// The stamp of what is at `path`, if anything is that has one; a file is not read where its size and time tell that
    /// it is the one that was made.
    ///
    /// # Errors
    /// Names what cannot be read.
    pub fn stamp_of(&self, path: &Path) -> Result<Option<Stamp>> {
        match (fs::metadata(path), &self.done) {
            (Ok(met), Some((_, stamp))) if stamp.is_of_untouched(&met) => Ok(Some(stamp.clone())),
            (Ok(met), _) if met.is_file() || met.is_dir() => Stamp::of_file(path).map(Some),
            _ => Ok(None),
        }
    }
}

/// After a loss of power, a new file may be there without its content.
fn is_empty_file(path: &Path) -> Result<bool> {
    let met = fs::metadata(path).map_err(|error| Error::io(path, &error))?;
    Ok(met.is_file() && met.len() == 0)
}
