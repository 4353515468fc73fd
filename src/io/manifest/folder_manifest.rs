//! [`Manifest`]: the manifest of one output folder, on disk and indexed in memory.

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

/// The manifest of an output folder: the lines that existed when it was opened, and those appended through it since.
/// Lines that other processes append meanwhile stay in the file but are not visible here. Threads may share it.
#[derive(Debug)]
pub struct Manifest {
    pub(super) folder: PathBuf,
    log: ManifestLog,
    index: Mutex<ManifestIndex>,
    /// Failures that are written once the folder exists.
    pending_failures: Mutex<Vec<ManifestLine>>,
}

impl Manifest {
    /// Reads the manifest of `folder`, which is empty if there is no file yet, and checks that it can be appended to;
    /// no file is created.
    ///
    /// # Errors
    /// Names the file if it is not a regular one, cannot be read, created or appended to, or was written by a newer
    /// dino; and its line that is not understood.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_shard(folder, None)
    }

    /// As [`Manifest::open`], for a run of `shard`, which reads the files of all shards, and appends to its own.
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

    /// The file that is appended to, which may not exist yet.
    pub fn path(&self) -> PathBuf {
        self.log.path().to_owned()
    }

    /// Whether it has no output and no failure.
    pub fn is_empty(&self) -> bool {
        self.index().is_empty()
    }

    /// Compares the file or folder at `output` with the origin `wanted`.
    ///
    /// # Errors
    /// Names the output, or the file in it, that cannot be read.
    pub fn freshness(&self, output: &Path, wanted: &ExpectedOrigin<'_>) -> Result<OutputFreshness> {
        self.inspect_output(output, wanted)
            .map(|(freshness, _)| freshness)
    }

    /// As [`Manifest::freshness`]; also returns whether the stamp in its last `done` line is its current one.
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
        // A copy, so that the index is not locked while the output is read.
        let history = self.history(&self.name_of(output)?);
        let known = history.attribute(output)?;
        Ok((
            known.freshness(wanted),
            matches!(known, OutputAttribution::Done(_)),
        ))
    }

    /// Whether the output was changed since its last `done` line; false without one.
    ///
    /// # Errors
    /// As [`Manifest::freshness`].
    pub fn is_changed(&self, output: &Path) -> Result<bool> {
        let history = self.history(&self.name_of(output)?);
        Ok(history.is_done() && !history.is_unchanged(output)?)
    }

    /// The fit of the file or folder at `output`; `None` if it was not made with `recipe` or has no fit.
    ///
    /// # Errors
    /// As [`Manifest::freshness`].
    pub fn fit_of(&self, output: &Path, recipe: &Digest) -> Result<Option<Digest>> {
        let history = self.history(&self.name_of(output)?);
        let origin = history.attribute(output)?.origin();
        let by_it = origin.filter(|origin| origin.has_recipe(recipe));
        Ok(by_it.and_then(|origin| origin.fit().copied()))
    }

    /// Whether the file or folder at `output` was, by the manifest, made from another photo or, if `fit` is given and
    /// it has a fit, with another fit.
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
        // Most outputs are new and need no disk access.
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

    /// The latest recorded stamp of the photo at `input`, a relative or absolute path.
    pub fn photo_stamp(&self, input: &Path) -> Option<FileStamp> {
        let input = std::path::absolute(input).ok()?;
        let index = self.index();
        index
            .photo_stamp(input.as_os_str().as_encoded_bytes())
            .cloned()
    }

    /// The stamp of the photo at `input`, which is read only if its size or modification time differs from the latest
    /// recorded stamp.
    ///
    /// # Errors
    /// As [`FileStamp::of_file`]; a pipe is an error; use [`FileStamp::of_bytes`] for the bytes read from it.
    pub fn stamp_of(&self, input: &Path) -> Result<FileStamp> {
        let metadata = fs::metadata(input).map_err(|error| Error::io(input, &error))?;
        match self.photo_stamp(input) {
            Some(known) if known.matches_metadata(&metadata) => Ok(known),
            _ => FileStamp::of_file(input),
        }
    }

    /// Appends the `begun` line of `entry`, before its outputs are written. Existing outputs are digested, unless their
    /// size and time are those in their last `done` line.
    ///
    /// # Errors
    /// Names the manifest that cannot be created or appended to, or the existing output that cannot be read.
    pub fn begin(&self, entry: &ManifestEntry) -> Result<()> {
        self.note(entry, EntryState::Begun, |output, name| {
            self.history(name).stamp_of(output)
        })
    }

    /// Appends the `done` line of `entry`, after its outputs were written. `known` gives stamps taken while writing;
    /// other outputs are digested.
    ///
    /// # Errors
    /// Names the manifest that cannot be created or appended to, or the output that is missing or cannot be read.
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

    /// Appends a `failed` line, unless the same failure is already recorded. While the folder does not exist, the line
    /// is held back until another line is appended, or until [`Manifest::flush_failures`].
    ///
    /// # Errors
    /// Names the manifest that cannot be created or appended to.
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
        // A run over one photo should not create a folder just for its failure.
        if !self.folder.exists() {
            self.pending_failures().push(line);
            return Ok(());
        }
        self.append(line)
    }

    /// The failure of `task` for a photo, unless it has succeeded since: the photo's stamp at that time, the decoding
    /// recipe ([`FailedEntry::recipe`]), and the reason.
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

    /// Appends the failures that were held back, creating the folder if there are any.
    ///
    /// # Errors
    /// Names the manifest that cannot be created or appended to.
    pub fn flush_failures(&self) -> Result<()> {
        let pending = std::mem::take(&mut *self.pending_failures());
        pending
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
        // Later than all known lines, even if the clock was set back.
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
