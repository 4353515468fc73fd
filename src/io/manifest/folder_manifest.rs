//! The record of one folder of outputs, while a run works in it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::io::inputs::Shard;
use crate::io::manifest::entry::{EntryState, FailedEntry, ManifestEntry, ManifestLine};
use crate::io::manifest::history::{OutputAttribution, OutputHistory};
use crate::io::manifest::index::ManifestIndex;
use crate::io::manifest::log::ManifestLog;
use crate::io::manifest::output_names::{name_below, output_name};
use crate::io::manifest::{ExpectedOrigin, OutputFreshness, PhotoFailure, PhotoName, files};
use crate::io::output::is_written_in_place;
use crate::system::files::{Digest, FileStamp};

/// The manifest of a folder of outputs: as it was when it was opened, and what was appended through it since. What other
/// processes append meanwhile stays in the file, but is not known here.
#[derive(Debug)]
pub struct Manifest {
    pub(super) folder: PathBuf,
    log: ManifestLog,
    index: Mutex<ManifestIndex>,
    /// Failures that are noted once there is a folder.
    pending_failures: Mutex<Vec<ManifestLine>>,
}

impl Manifest {
    /// Reads the manifest of `folder`, which is empty if there is no file yet, and finds out whether it can be appended to;
    /// nothing is made.
    ///
    /// # Errors
    /// Names the file if it is no regular one, cannot be read or appended to (or made), or was written by a newer dino;
    /// and its line that is not understood.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_shard(folder, None)
    }

    /// As [`Manifest::open`], for a run of `shard`, which reads what all others have noted, and appends to a file of its
    /// own.
    ///
    /// # Errors
    /// As [`Manifest::open`].
    pub fn open_shard(folder: &Path, shard: Option<Shard>) -> Result<Self> {
        let mut index = ManifestIndex::default();
        let own = files::manifest_path(folder, shard);
        for path in files::manifest_files(folder)? {
            if path != own {
                files::read_file(&path, |line, _| {
                    index.insert(line);
                    Ok(())
                })?;
            }
        }
        let log = ManifestLog::read(own, |line| index.insert(line))?;
        Ok(Manifest {
            folder: folder.to_owned(),
            log,
            index: Mutex::new(index),
            pending_failures: Mutex::default(),
        })
    }

    /// The file that is appended to, which may not be there yet.
    pub fn path(&self) -> PathBuf {
        self.log.path().to_owned()
    }

    /// Whether nothing is known of any output or photo.
    pub fn is_empty(&self) -> bool {
        self.index().is_empty()
    }

    /// How the file or folder at `output`, a path that can be opened, stands to what is wanted.
    ///
    /// # Errors
    /// Names the output, or the file in it, that cannot be read.
    pub fn freshness(&self, output: &Path, wanted: &ExpectedOrigin<'_>) -> Result<OutputFreshness> {
        self.inspect_output(output, wanted)
            .map(|(standing, _)| standing)
    }

    /// As [`Manifest::freshness`], and whether it is noted as done as it is.
    pub(super) fn inspect_output(
        &self,
        output: &Path,
        wanted: &ExpectedOrigin<'_>,
    ) -> Result<(OutputFreshness, bool)> {
        match fs::metadata(output) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok((OutputFreshness::Absent, false));
            }
            Err(error) => return Err(Error::io(output, &error)),
            Ok(_) => {}
        }
        // Reading takes its time, and others ask too.
        let history = self.history(&self.name_of(output)?);
        let known = history.attribute(output)?;
        Ok((
            known.freshness(wanted),
            matches!(known, OutputAttribution::Done(_)),
        ))
    }

    /// Whether the output is not as it was when it was noted as done.
    ///
    /// # Errors
    /// As [`Manifest::freshness`].
    pub fn is_changed(&self, output: &Path) -> Result<bool> {
        let history = self.history(&self.name_of(output)?);
        Ok(history.is_done() && !history.is_unchanged(output)?)
    }

    /// The fit that the file or folder at `output` was made with, if it was made by `recipe`.
    ///
    /// # Errors
    /// As [`Manifest::freshness`].
    pub fn fit_of(&self, output: &Path, recipe: &Digest) -> Result<Option<Digest>> {
        let history = self.history(&self.name_of(output)?);
        let origin = history.attribute(output)?.origin();
        let by_it = origin.filter(|origin| origin.has_recipe(recipe));
        Ok(by_it.and_then(|origin| origin.fit().copied()))
    }

    /// Whether what is at `output` is known to be of another photo than `photo`, or of another fit than `fit`, if there is
    /// one.
    ///
    /// # Errors
    /// As [`Manifest::freshness`].
    pub fn has_other_origin(
        &self,
        output: &Path,
        photo: &FileStamp,
        fit: Option<&Digest>,
    ) -> Result<bool> {
        let history = self.history(&self.name_of(output)?);
        // Of most nothing is known, which needs no look at the disk.
        if history.is_empty() || !output.exists() {
            return Ok(false);
        }
        let origin = history.attribute(output)?.origin();
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
    pub fn photo_stamp(&self, input: &Path) -> Option<FileStamp> {
        let input = std::path::absolute(input).ok()?;
        let index = self.index();
        index
            .photo_stamp(input.as_os_str().as_encoded_bytes())
            .cloned()
    }

    /// Takes the stamp of the photo `input`, which is not read if it has the size and the time that were noted of a photo
    /// of this name.
    ///
    /// # Errors
    /// As [`FileStamp::of_file`]; pipes have no stamp, but what was read from them has ([`FileStamp::of_bytes`]).
    pub fn stamp_of(&self, input: &Path) -> Result<FileStamp> {
        let met = fs::metadata(input).map_err(|error| Error::io(input, &error))?;
        match self.photo_stamp(input) {
            Some(known) if known.matches_metadata(&met) => Ok(known),
            _ => FileStamp::of_file(input),
        }
    }

    /// Notes that the outputs of `entry` are about to be written; those that are there are read, unless their size and time
    /// are known.
    ///
    /// # Errors
    /// Names the manifest that cannot be appended to (or made), or the old output that cannot be read.
    pub fn begin(&self, entry: &ManifestEntry) -> Result<()> {
        self.note(entry, EntryState::Begun, |output, name| {
            self.history(name).stamp_of(output)
        })
    }

    /// Notes that the outputs of `entry` have been written; those whose stamps are not `known` are read.
    ///
    /// # Errors
    /// Names the manifest that cannot be appended to (or made), or the output that is not there or cannot be read.
    pub fn finish(
        &self,
        entry: &ManifestEntry,
        known: impl Fn(&Path) -> Option<FileStamp>,
    ) -> Result<()> {
        self.note(entry, EntryState::Done, |output, _| match known(output) {
            Some(stamp) => Ok(Some(stamp)),
            None => FileStamp::of_file(output).map(Some),
        })
    }

    /// Notes that nothing was made of a photo, unless just that is known.
    ///
    /// # Errors
    /// Names the manifest that cannot be appended to (or made).
    pub(super) fn fail(&self, failed: &FailedEntry<'_>) -> Result<()> {
        let line = ManifestLine::of_failure(failed);
        {
            let (index, photo) = (self.index(), line.photo_name());
            let known = index.failure(failed.task, &photo);
            let is_known = known.is_some_and(|(photo, recipe, failure)| {
                let digest = |stamp: Option<&FileStamp>| stamp.map(|stamp| stamp.digest);
                failure == failed.failure
                    && *recipe == failed.recipe
                    && digest(photo) == digest(failed.photo)
            });
            if is_known {
                return Ok(());
            }
        }
        // For one photo alone, nobody wants a folder that holds nothing else.
        if !self.folder.exists() {
            self.pending_failures().push(line);
            return Ok(());
        }
        self.append(line)
    }

    /// How a photo failed for `task`, if nothing was made of it since: its stamp then, and what decided whether it could
    /// be read.
    pub(super) fn failure(
        &self,
        task: &str,
        photo: &PhotoName,
    ) -> Option<(Option<FileStamp>, Digest, PhotoFailure)> {
        let index = self.index();
        let (stamp, recipe, failure) = index.failure(task, photo)?;
        Some((stamp.cloned(), *recipe, failure.clone()))
    }

    fn append(&self, line: ManifestLine) -> Result<()> {
        self.flush_failures()?;
        self.append_now(line)
    }

    /// Writes failures down that waited for a folder, which is made for them if need be.
    ///
    /// # Errors
    /// Names the manifest that cannot be appended to (or made).
    pub fn flush_failures(&self) -> Result<()> {
        let waiting = std::mem::take(&mut *self.pending_failures());
        waiting
            .into_iter()
            .try_for_each(|line| self.append_now(line))
    }

    fn pending_failures(&self) -> MutexGuard<'_, Vec<ManifestLine>> {
        self.pending_failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn append_now(&self, mut line: ManifestLine) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_millis() as u64);
        // Whatever clocks do, it is later than what is known.
        line.time = now.max(self.index().latest() + 1);
        self.log.append(&line)?;
        self.index().insert(&line);
        Ok(())
    }

    fn note(
        &self,
        entry: &ManifestEntry,
        state: EntryState,
        stamp: impl Fn(&Path, &Path) -> Result<Option<FileStamp>>,
    ) -> Result<()> {
        let mut outputs = Vec::with_capacity(entry.outputs.len());
        for output in &entry.outputs {
            let name = self.name_of(output)?;
            let stamp = stamp(output, &name)?;
            outputs.push((name, stamp));
        }
        let mut line = ManifestLine::new(entry, state, outputs);
        let in_place = |output: &PathBuf| is_written_in_place(output);
        line.in_place = state == EntryState::Begun && entry.outputs.iter().any(in_place);
        self.append(line)
    }

    fn name_of(&self, output: &Path) -> Result<PathBuf> {
        name_below(&self.folder, output)
    }

    fn history(&self, name: &Path) -> OutputHistory {
        let known = self.index().history(&output_name(name)).cloned();
        known.unwrap_or_default()
    }

    pub(super) fn index(&self) -> MutexGuard<'_, ManifestIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
