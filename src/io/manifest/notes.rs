//! What is written down while a run makes its outputs.

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

/// What the photos of a document are called.
const ALL_PHOTOS: &str = "<all photos>";

/// Why a photo fails that is not what it was when the run saw it first.
pub fn photo_changed_error(source: &Source) -> Error {
    Error::file_with_fault(
        source.path(),
        "was changed while the run was under way; run again",
        FileFault::Changed,
    )
}

/// A photo whose row is in a part of a dataset.
#[derive(Debug)]
pub struct DatasetRowNote {
    /// The photo.
    pub source: Source,
    /// Of its bytes.
    pub photo: FileStamp,
    /// What else is worth noting.
    pub facts: Map<String, Value>,
}

impl Ledger {
    /// Notes that a part of a dataset was written anew, without some of its rows.
    ///
    /// # Errors
    /// As [`Ledger::note_rows`].
    pub fn note_part(&self, files: &[(PathBuf, Option<FileStamp>)]) -> Result<()> {
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

    /// Notes that the rows of photos are in a part of a dataset, which consists of these files.
    ///
    /// # Errors
    /// Names the record that cannot be appended to, or a file that cannot be read.
    pub fn note_rows(
        &self,
        (kind, recipe): (&str, Digest),
        rows: &[DatasetRowNote],
        files: &[(PathBuf, Option<FileStamp>)],
    ) -> Result<()> {
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        for row in rows {
            let entry = ManifestEntry {
                task: kind.to_owned(),
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

    /// Does `work` that writes the files of a job, and notes that it is about to be done, and that it was. `words` has the
    /// stamps of what was written.
    ///
    /// # Errors
    /// Those of `work`; names the folder's record if it cannot be appended to, or an output that cannot be read.
    pub fn note_outputs<T>(
        &self,
        (job, making): (&OutputJob, &TaskDigests),
        photo: Option<&FileStamp>,
        words: &Console,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let (Some(manifest), Some(photo)) = (&self.manifest, photo) else {
            return work();
        };
        // What is kept was looked at when the run began.
        for (_, path) in job.existing_files() {
            if manifest.has_other_origin(path, photo, None)? {
                return Err(photo_changed_error(&job.source));
            }
        }
        let mut by_recipe: BTreeMap<Digest, Vec<PathBuf>> = BTreeMap::new();
        for (extension, path) in job.pending_files().filter(|(_, path)| has_stamp(path)) {
            let recipe = making.recipe(extension, &job.source);
            by_recipe.entry(recipe).or_default().push(path.to_owned());
        }
        let entries = by_recipe
            .into_iter()
            .map(|(recipe, outputs)| ManifestEntry {
                task: making.task.clone(),
                input: job.source.absolute(),
                page: job.source.page().map(|page| page.number),
                photo: photo.clone(),
                recipe,
                fit: making.fit,
                outputs,
                facts: Map::new(),
            });
        let mut entries: Vec<ManifestEntry> = entries.collect();
        entries.iter().try_for_each(|entry| manifest.begin(entry))?;
        let done = work()?;
        let mut facts = making.facts.clone();
        facts.extend(words.facts());
        for entry in &mut entries {
            entry.facts.clone_from(&facts);
            // Nothing may have been there to write.
            entry.outputs.retain(|output| output.exists());
            if !entry.outputs.is_empty() {
                manifest.finish(entry, |output| words.recorded_stamp(output))?;
            }
        }
        self.warn_of_siblings((job, making), photo, words)?;
        Ok(done)
    }

    /// Says which files beside those of a job are of another state of the photo, and are not made now.
    fn warn_of_siblings(
        &self,
        (job, making): (&OutputJob, &TaskDigests),
        photo: &FileStamp,
        words: &Console,
    ) -> Result<()> {
        let (Some(manifest), Some(picture)) =
            (&self.manifest, job.output(PICTURE_EXTENSION).path())
        else {
            return Ok(());
        };
        let planned: Vec<&str> = job.outputs().map(|(extension, _)| extension).collect();
        for sibling in making.siblings.iter().filter(|one| !planned.contains(one)) {
            let path = picture.with_extension(sibling);
            if manifest.has_other_origin(&path, photo, making.fit.as_ref())? {
                words.warnings().add(
                    "files of another state",
                    &path.display().to_string(),
                    "was made of another photo, or of this one before it was changed, or with another fit, and stays so: ask \
                     for it too, or remove it",
                );
            }
        }
        Ok(())
    }

    /// How the document at `path`, which is about all photos of a plan, stands to what would be made.
    ///
    /// # Errors
    /// Names what cannot be read.
    pub fn document_freshness(
        &self,
        path: &Path,
        (plan, making): (&OutputPlan, &TaskDigests),
        most: u64,
    ) -> Result<OutputFreshness> {
        let Some(manifest) = &self.manifest else {
            return Ok(OutputFreshness::Foreign);
        };
        let (photo, recipe) = self.origin_of_document((plan, making), |_| None, most);
        let fit = match making.fit {
            Some(fit) => Some(fit),
            // Photos that wait for each other have one that is current, or the document is not asked about.
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

    /// Has `write` write the document at `path`, about photos that had these digests when they were seen, and notes that it
    /// is about to be written, and that it was.
    ///
    /// # Errors
    /// Those of `write`; as [`Manifest::finish`](crate::io::manifest::Manifest::finish).
    pub fn note_document(
        &self,
        path: &Path,
        (plan, making): (&OutputPlan, &TaskDigests),
        (seen, most): (impl Fn(usize) -> Option<Digest>, u64),
        write: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let manifest = self.manifest.as_ref().filter(|_| has_stamp(path));
        let Some(manifest) = manifest else {
            return write();
        };
        let (photo, recipe) = self.origin_of_document((plan, making), seen, most);
        let entry = ManifestEntry {
            task: making.task.clone(),
            input: PathBuf::from(ALL_PHOTOS),
            page: None,
            photo,
            recipe,
            fit: making.fit,
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

    /// What stands for all photos of a plan, in whichever order they are, and the recipe of a document about them.
    fn origin_of_document(
        &self,
        (plan, making): (&OutputPlan, &TaskDigests),
        seen: impl Fn(usize) -> Option<Digest>,
        most: u64,
    ) -> (FileStamp, Digest) {
        let photos = plan.jobs.iter().enumerate().map(|(index, job)| {
            let digest = seen(index).or_else(|| {
                let stamp = self.stamp_of(&job.source, most).ok();
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
        (FileStamp::of_bytes(&all), making.recipe_of_document())
    }
}

fn find_stamp(files: &[(PathBuf, Option<FileStamp>)], file: &Path) -> Option<FileStamp> {
    let known = files.iter().find(|(path, _)| path == file);
    known.and_then(|(_, stamp)| stamp.clone())
}

/// Whether what is at `path`, or will be, is a file or a folder, not a pipe or a device.
fn has_stamp(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |met| met.is_file() || met.is_dir())
}
