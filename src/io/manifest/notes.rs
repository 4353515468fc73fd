//! Records outputs while a run makes them: `begun` before, `done` after.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, FileFault, Result};
use crate::io::inputs::Source;
use crate::io::manifest::{ExpectedOrigin, Ledger, ManifestEntry, OutputFreshness, TaskDigests};
use crate::io::output::{OutputJob, OutputPlan, PICTURE_EXTENSION};
use crate::system::files::{Digest, FileStamp};
use crate::terminal::console::Console;

/// The `input` of entries that are about all photos of a run.
const ALL_PHOTOS: &str = "<all photos>";

/// The error of a photo that was changed during the run.
pub fn photo_changed_error(source: &Source) -> Error {
    Error::file_with_fault(
        source.path(),
        "was changed while the run was under way; run again",
        FileFault::Changed,
    )
}

/// A photo with a row in a part of a dataset, to be recorded.
#[derive(Debug)]
pub struct DatasetRowNote {
    /// The photo.
    pub source: Source,
    /// Stamp of its bytes.
    pub photo: FileStamp,
    /// Further facts, see [`ManifestEntry::facts`].
    pub facts: Map<String, Value>,
}

impl Ledger {
    /// Records that a part of a dataset, with these files and stamps, was rewritten without some of its rows.
    ///
    /// # Errors
    /// As [`Ledger::record_rows`].
    pub fn record_part(&self, files: &[(PathBuf, Option<FileStamp>)]) -> Result<()> {
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        let entry = ManifestEntry {
            task: "features".to_owned(),
            input: PathBuf::from(ALL_PHOTOS),
            page: None,
            photo: FileStamp::of_bytes(&[]),
            recipe: Digest::of_bytes(&[]),
            fit: None,
            outputs: files.iter().map(|(path, _)| path.clone()).collect(),
            facts: Map::new(),
        };
        manifest.finish(&entry, |output| find_stamp(files, output))
    }

    /// Records that a part of a dataset, with these files and stamps, has the rows of these photos.
    ///
    /// # Errors
    /// Names the manifest that cannot be appended to, or a file that cannot be read.
    pub fn record_rows(
        &self,
        (task, recipe): (&str, Digest),
        rows: &[DatasetRowNote],
        files: &[(PathBuf, Option<FileStamp>)],
    ) -> Result<()> {
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        for row in rows {
            let entry = ManifestEntry {
                task: task.to_owned(),
                input: row.source.absolute(),
                page: row.source.page().map(|page| page.number),
                photo: row.photo.clone(),
                recipe,
                fit: None,
                outputs: files.iter().map(|(path, _)| path.clone()).collect(),
                facts: row.facts.clone(),
            };
            manifest.finish(&entry, |output| find_stamp(files, output))?;
        }
        Ok(())
    }

    /// Calls `work`, which writes the outputs of a job, between their `begun` and `done` lines. `console` holds the
    /// stamps and facts that `work` recorded. Without a manifest or a stamp of the photo, only calls `work`.
    ///
    /// # Errors
    /// Those of `work`; [`photo_changed_error`] if kept outputs were made from other content of the photo; names the
    /// manifest that cannot be appended to, or an output that cannot be read.
    pub fn record_outputs<T>(
        &self,
        (job, digests): (&OutputJob, &TaskDigests),
        photo: Option<&FileStamp>,
        console: &Console,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let (Some(manifest), Some(photo)) = (&self.manifest, photo) else {
            return work();
        };
        // Kept outputs were inspected when the run began; the photo may have changed since.
        for (_, path) in job.existing_files() {
            if manifest.has_other_origin(path, photo, None)? {
                return Err(photo_changed_error(&job.source));
            }
        }
        let mut by_recipe: BTreeMap<Digest, Vec<PathBuf>> = BTreeMap::new();
        for (extension, path) in job.pending_files().filter(|(_, path)| has_stamp(path)) {
            let recipe = digests.recipe(extension, &job.source);
            by_recipe.entry(recipe).or_default().push(path.to_owned());
        }
        let entries = by_recipe
            .into_iter()
            .map(|(recipe, outputs)| ManifestEntry {
                task: digests.task.clone(),
                input: job.source.absolute(),
                page: job.source.page().map(|page| page.number),
                photo: photo.clone(),
                recipe,
                fit: digests.fit,
                outputs,
                facts: Map::new(),
            });
        let mut entries: Vec<ManifestEntry> = entries.collect();
        entries.iter().try_for_each(|entry| manifest.begin(entry))?;
        let done = work()?;
        let mut facts = digests.facts.clone();
        facts.extend(console.facts());
        for entry in &mut entries {
            entry.facts.clone_from(&facts);
            // Some outputs are not written if they would be empty.
            entry.outputs.retain(|output| output.exists());
            if !entry.outputs.is_empty() {
                manifest.finish(entry, |output| console.recorded_stamp(output))?;
            }
        }
        self.warn_of_siblings((job, digests), photo, console)?;
        Ok(done)
    }

    /// Warns about other outputs of the same photo that were made from other content of it or with another fit, and are
    /// not made in this run.
    fn warn_of_siblings(
        &self,
        (job, digests): (&OutputJob, &TaskDigests),
        photo: &FileStamp,
        console: &Console,
    ) -> Result<()> {
        let (Some(manifest), Some(picture)) =
            (&self.manifest, job.output(PICTURE_EXTENSION).path())
        else {
            return Ok(());
        };
        let planned: Vec<&str> = job.outputs().map(|(extension, _)| extension).collect();
        for sibling in digests.siblings.iter().filter(|one| !planned.contains(one)) {
            let path = picture.with_extension(sibling);
            if manifest.has_other_origin(&path, photo, digests.fit.as_ref())? {
                console.warnings().add(
                    "files of another state",
                    &path.display().to_string(),
                    "was made of another photo, or of this one before it was changed, or with another fit, and stays so: ask \
                     for it too, or remove it",
                );
            }
        }
        Ok(())
    }

    /// Compares the document at `path`, which is about all photos of a plan, with what would be made. At most
    /// `max_bytes` are read of a photo that is not a regular file.
    ///
    /// # Errors
    /// Names the document or manifest that cannot be read.
    pub fn document_freshness(
        &self,
        path: &Path,
        (plan, digests): (&OutputPlan, &TaskDigests),
        max_bytes: u64,
    ) -> Result<OutputFreshness> {
        let Some(manifest) = &self.manifest else {
            return Ok(OutputFreshness::Foreign);
        };
        let (photo, recipe) = self.origin_of_document((plan, digests), |_| None, max_bytes);
        let fit = match digests.fit {
            Some(fit) => Some(fit),
            // The fit is not known yet: compare with the document's own one; callers use the result only if that fit is
            // current.
            None => manifest.fit_of(path, &recipe)?,
        };
        manifest.freshness(
            path,
            &ExpectedOrigin {
                photo: &photo,
                recipe: &recipe,
                fit: fit.as_ref(),
            },
        )
    }

    /// Calls `write`, which writes the document at `path` about all photos of a plan, between its `begun` and `done`
    /// lines. `known_digest` gives the digest of a photo, by index, if it was read in this run.
    ///
    /// # Errors
    /// Those of `write`; as [`Manifest::finish`](crate::io::manifest::Manifest::finish).
    pub fn note_document(
        &self,
        path: &Path,
        (plan, digests): (&OutputPlan, &TaskDigests),
        (known_digest, max_bytes): (impl Fn(usize) -> Option<Digest>, u64),
        write: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let manifest = self.manifest.as_ref().filter(|_| has_stamp(path));
        let Some(manifest) = manifest else {
            return write();
        };
        let (photo, recipe) = self.origin_of_document((plan, digests), known_digest, max_bytes);
        let entry = ManifestEntry {
            task: digests.task.clone(),
            input: PathBuf::from(ALL_PHOTOS),
            page: None,
            photo,
            recipe,
            fit: digests.fit,
            outputs: vec![path.to_owned()],
            facts: Map::new(),
        };
        manifest.begin(&entry)?;
        write()?;
        match path.is_file() {
            true => manifest.finish(&entry, |_| None),
            false => Ok(()),
        }
    }

    /// A stamp that represents all photos of a plan in any order, and the recipe of a document about them.
    fn origin_of_document(
        &self,
        (plan, digests): (&OutputPlan, &TaskDigests),
        known_digest: impl Fn(usize) -> Option<Digest>,
        max_bytes: u64,
    ) -> (FileStamp, Digest) {
        let photos = plan.jobs.iter().enumerate().map(|(index, job)| {
            let digest = known_digest(index).or_else(|| {
                let stamp = self.stamp_of(&job.source, max_bytes).ok();
                stamp.map(|stamp| stamp.digest)
            });
            let name = job.name.as_os_str().as_encoded_bytes().to_vec();
            let page = job.source.page_number();
            (name, page, digest)
        });
        let mut photos: Vec<_> = photos.collect();
        photos.sort();
        let mut all = Vec::new();
        for (name, page, digest) in photos {
            all.extend(name);
            all.push(0);
            all.extend(page.to_le_bytes());
            all.extend(digest.as_ref().map_or(&[0; 32], Digest::as_bytes));
        }
        (FileStamp::of_bytes(&all), digests.recipe_of_document())
    }
}

/// The stamp of `file` in the list `files`, if it is known.
fn find_stamp(files: &[(PathBuf, Option<FileStamp>)], file: &Path) -> Option<FileStamp> {
    let known = files.iter().find(|(path, _)| path == file);
    known.and_then(|(_, stamp)| stamp.clone())
}

/// Whether `path` is, or will be, a file or a folder rather than a pipe or a device.
fn has_stamp(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |metadata| metadata.is_file() || metadata.is_dir())
}
