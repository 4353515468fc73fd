//! What was made from which photo by which recipe, so that a later run can tell whether what is already there is what it
//! would make.
//!
//! The folder of outputs has a file `manifest.jsonl`, to which every run appends and which nobody else needs to read. Each
//! line is an object:
//!
//! | key | |
//! |---|---|
//! | `format` | 1; a line with a larger one was written by a newer dino and is refused |
//! | `state` | `begun` before the outputs of a photo are written, `done` after |
//! | `task`, `input`, `page` | what was made of which page of which photo, by its absolute path; see [`Entry`] |
//! | `photo` | [`Stamp`] of the photo: `bytes`, `modified` (nanoseconds since 1970), `digest` (BLAKE3); of one in a tar, `tar_bytes` too |
//! | `recipe`, `fit` | digests of the settings, and of what was fitted to other photos |
//! | `outputs` | by the path below the folder, the stamp of each output; in a line that is `begun`, that of what it replaces, or null |
//! | `facts` | whatever else was worth noting |
//!
//! A photo whose name is no UTF-8 has its exact bytes, percent-encoded, in `input_bytes`; outputs with such names are not
//! in `outputs` but, by their percent-encoded bytes, in `outputs_bytes`. Keys that are not listed are passed over. Outputs
//! outside the folder are listed by their absolute paths.
//!
//! # After a crash
//! Outputs appear complete or not at all ([`write_atomic`](crate::output::write_atomic)), between the line that says
//! `begun` and the one that says `done`. So of an output that is there:
//!
//! - if it has the stamp of its last `done`, it is what that line says;
//! - else, if lines that say `begun` follow, the last of them made it that did not find it as it is now. Several may
//!   follow each other, and the first may have found a file of the user's: that is nobody's work still;
//! - else it was changed since, or something else put it there: it is [`Standing::Foreign`]. So is an empty file of
//!   which only `begun` is known; loss of power leaves such.
//!
//! A line that a killed program left unfinished is dropped. The next one is preceded by a blank line, which marks a line
//! that is no JSON as torn; any other is an error.
//!
//! # Memory
//! About 300 bytes are kept for a photo with one output, and 170 for each further one; a million photos take 300 MB.
//!
//! # Limits
//! A file is taken for unchanged if its size and its time of modification are: an edit that restores both, or one within
//! the same tick of the file system's clock, is not noticed. While only `begun` is known of an output, it is not noticed
//! either if the user puts another file there; so it is written just before the outputs are.

mod digest;
mod entry;
mod fits;
mod index;
mod ledger;
mod log;
mod making;
mod notes;
mod packs;

mod stamp;

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
pub use digest::Digest;
pub use entry::Entry;
pub use entry::PhotoName;
use entry::{Line, State, output_name};
use index::{History, Index};
pub use ledger::{Former, Ledger, Refused};
use log::Log;
pub use making::Making;
pub use notes::changed_meanwhile;
pub use packs::{Packed, remove_within};
pub use stamp::Stamp;
pub(crate) use stamp::modified;

/// Name of the manifest in the folder of outputs.
pub const MANIFEST_FILE: &str = "manifest.jsonl";

/// What a run would make an output from.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The photo; its content counts, not its name or time.
    pub photo: &'a Stamp,
    /// See [`Entry::recipe`].
    pub recipe: &'a Digest,
    /// See [`Entry::fit`].
    pub fit: Option<&'a Digest>,
}

/// What differs between what an output was made from and what is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Difference {
    /// The content of the photo.
    pub photo: bool,
    /// The recipe.
    pub recipe: bool,
    /// What was fitted to other photos.
    pub fit: bool,
}

/// How an output that a run would make stands to what is in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is there.
    Absent,
    /// It was made from this photo by this recipe and fit.
    Same,
    /// It was made by this program from something else.
    Other(Difference),
    /// This program did not make it, or it was changed since.
    Foreign,
}

/// The manifest of a folder of outputs: as it was when it was opened, and what was appended through it since. What other
/// processes append meanwhile stays in the file, but is not known here.
#[derive(Debug)]
pub struct Manifest {
    folder: PathBuf,
    log: Log,
    index: Mutex<Index>,
}

impl Manifest {
    /// Reads the manifest of `folder`, which is empty if there is no file yet, and finds out whether it can be appended to;
    /// nothing is made.
    ///
    /// # Errors
    /// Names the file if it is no regular one, cannot be read or appended to (or made), or was written by a newer dino;
    /// and its line that is not understood.
    pub fn open(folder: &Path) -> Result<Self> {
        let mut index = Index::default();
        let log = Log::read(folder.join(MANIFEST_FILE), |line| index.insert(line))?;
        Ok(Manifest {
            folder: folder.to_owned(),
            log,
            index: Mutex::new(index),
        })
    }

    /// The file itself, which may not be there yet.
    pub fn path(&self) -> PathBuf {
        self.folder.join(MANIFEST_FILE)
    }

    /// Whether nothing is known of any output.
    pub fn is_empty(&self) -> bool {
        self.index().len() == 0
    }

    /// How the file or folder at `output`, a path that can be opened, stands to what is wanted.
    ///
    /// # Errors
    /// Names the output, or the file in it, that cannot be read.
    pub fn standing(&self, output: &Path, wanted: &Wanted<'_>) -> Result<Standing> {
        match fs::metadata(output) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Standing::Absent),
            Err(error) => return Err(Error::io(output, &error)),
            Ok(_) => {}
        }
        // Reading takes its time, and others ask too.
        let history = self.history(&self.name_of(output)?);
        let origin = history.origin_of(output)?;
        Ok(origin.map_or(Standing::Foreign, |origin| origin.standing(wanted)))
    }

    /// The fit that the file or folder at `output` was made with, if it was made by `recipe`.
    ///
    /// # Errors
    /// As [`Manifest::standing`].
    pub fn fit_of(&self, output: &Path, recipe: &Digest) -> Result<Option<Digest>> {
        let history = self.history(&self.name_of(output)?);
        let origin = history.origin_of(output)?;
        let by_it = origin.filter(|origin| origin.is_by(recipe));
        Ok(by_it.and_then(|origin| origin.fit().copied()))
    }

    /// Whether what is at `output` is known to be of another photo than `photo`, or of another fit than `fit`, if there is
    /// one.
    ///
    /// # Errors
    /// As [`Manifest::standing`].
    pub fn is_of_other(&self, output: &Path, photo: &Stamp, fit: Option<&Digest>) -> Result<bool> {
        let history = self.history(&self.name_of(output)?);
        // Of most nothing is known, which needs no look at the disk.
        if history.is_empty() || !output.exists() {
            return Ok(false);
        }
        let origin = history.origin_of(output)?;
        Ok(origin.is_some_and(|origin| {
            origin.photo().digest != photo.digest
                || fit.is_some() && origin.fit().is_some() && origin.fit() != fit
        }))
    }

    /// The folder of outputs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The latest stamp that was noted of the photo `input`, wherever it is named from.
    pub fn photo(&self, input: &Path) -> Option<Stamp> {
        let input = std::path::absolute(input).ok()?;
        let index = self.index();
        index.photo(input.as_os_str().as_encoded_bytes()).cloned()
    }

    /// Takes the stamp of the photo `input`, which is not read if it has the size and the time that were noted of a photo
    /// of this name.
    ///
    /// # Errors
    /// As [`Stamp::of_file`]; pipes have no stamp, but what was read from them has ([`Stamp::of_bytes`]).
    pub fn stamp_of(&self, input: &Path) -> Result<Stamp> {
        let met = fs::metadata(input).map_err(|error| Error::io(input, &error))?;
        match self.photo(input) {
            Some(known) if known.is_of_untouched(&met) => Ok(known),
            _ => Stamp::of_file(input),
        }
    }

    /// Notes that the outputs of `entry` are about to be written; those that are there are read, unless their size and time
    /// are known.
    ///
    /// # Errors
    /// Names the manifest that cannot be appended to (or made), or the old output that cannot be read.
    pub fn begin(&self, entry: &Entry) -> Result<()> {
        self.note(entry, State::Begun, |output, name| {
            self.history(name).stamp_of(output)
        })
    }

    /// Notes that the outputs of `entry` have been written; those whose stamps are not `known` are read.
    ///
    /// # Errors
    /// Names the manifest that cannot be appended to (or made), or the output that is not there or cannot be read.
    pub fn finish(&self, entry: &Entry, known: impl Fn(&Path) -> Option<Stamp>) -> Result<()> {
        self.note(entry, State::Done, |output, _| match known(output) {
            Some(stamp) => Ok(Some(stamp)),
            None => Stamp::of_file(output).map(Some),
        })
    }

    fn note(
        &self,
        entry: &Entry,
        state: State,
        stamp: impl Fn(&Path, &Path) -> Result<Option<Stamp>>,
    ) -> Result<()> {
        let mut outputs = Vec::with_capacity(entry.outputs.len());
        for output in &entry.outputs {
            let name = self.name_of(output)?;
            let stamp = stamp(output, &name)?;
            outputs.push((name, stamp));
        }
        let line = Line::new(entry, state, outputs);
        self.log.append(&line)?;
        self.index().insert(&line);
        Ok(())
    }

    /// The path of an output below the folder, or its absolute path; of links, only those of folders are followed.
    fn name_of(&self, output: &Path) -> Result<PathBuf> {
        let absolute = |path: &Path| {
            let path = match path.as_os_str().is_empty() {
                true => Path::new("."),
                false => path,
            };
            std::path::absolute(path).map_err(|error| Error::io(path, &error))
        };
        let (output, folder) = (absolute(output)?, absolute(&self.folder)?);
        if let Ok(name) = output.strip_prefix(&folder) {
            let is_plain = name
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            if is_plain {
                return Ok(name.to_owned());
            }
        }
        // However it is spelled.
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let parent = output.parent().map(real).unwrap_or_default();
        let output = parent.join(output.file_name().unwrap_or_default());
        let name = output.strip_prefix(real(&folder)).map(Path::to_owned);
        Ok(name.unwrap_or(output))
    }

    fn history(&self, name: &Path) -> History {
        let known = self.index().history(&output_name(name)).cloned();
        known.unwrap_or_default()
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "tests/mod.rs"]
mod tests;
