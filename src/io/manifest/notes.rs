//! What is written down while a run makes its outputs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Fault, Result};
use crate::io::inputs::Source;
use crate::io::manifest::ledger::input_of;
use crate::io::manifest::{Entry, Ledger, Making, Standing, Wanted};
use crate::io::output::{Job, PICTURE, Plan};
use crate::system::files::{Digest, Stamp};
use crate::terminal::console::Console;

/// What the photos of a document are called.
const DOCUMENT: &str = "<all photos>";

/// Why a photo fails that is not what it was when the run saw it first.
pub fn changed_meanwhile(source: &Source) -> Error {
    Error::fault(
        source.path(),
        "was changed while the run was under way; run again",
        Fault::Changed,
    )
}

/// A photo whose row is in a part of a dataset.
#[derive(Debug)]
pub struct NotedRow {
    /// The photo.
    pub source: Source,
    /// Of its bytes.
    pub photo: Stamp,
    /// What else is worth noting.
    pub facts: Map<String, Value>,
}

impl Ledger {
    /// Notes that a part of a dataset was written anew, without some of its rows.
    ///
    /// # Errors
    /// As [`Ledger::note_rows`].
    pub fn note_part(&self, files: &[(PathBuf, Option<Stamp>)]) -> Result<()> {
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        let entry = Entry {
            task: "features".to_owned(),
            input: PathBuf::from(DOCUMENT),
            page: None,
            photo: Stamp::of_bytes(&[]),
            recipe: Digest::of_bytes(&[]),
            fit: None,
            outputs: files.iter().map(|(path, _)| path.clone()).collect(),
            facts: Map::new(),
        };
        manifest.finish(&entry, |output| stamp_among(files, output))
    }

    /// Notes that the rows of photos are in a part of a dataset, which consists of these files.
    ///
    /// # Errors
    /// Names the record that cannot be appended to, or a file that cannot be read.
    pub fn note_rows(
        &self,
        (kind, recipe): (&str, Digest),
        rows: &[NotedRow],
        files: &[(PathBuf, Option<Stamp>)],
    ) -> Result<()> {
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        for row in rows {
            let entry = Entry {
                task: kind.to_owned(),
                input: input_of(&row.source),
                page: row.source.page().map(|page| page.number),
                photo: row.photo.clone(),
                recipe,
                fit: None,
                outputs: files.iter().map(|(path, _)| path.clone()).collect(),
                facts: row.facts.clone(),
            };
            manifest.finish(&entry, |output| stamp_among(files, output))?;
        }
        Ok(())
    }

    /// Does `work` that writes the files of a job, and notes that it is about to be done, and that it was. `words` has the
    /// stamps of what was written.
    ///
    /// # Errors
    /// Those of `work`; names the folder's record if it cannot be appended to, or an output that cannot be read.
    pub fn note<T>(
        &self,
        (job, making): (&Job, &Making),
        photo: Option<&Stamp>,
        words: &Console,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let (Some(manifest), Some(photo)) = (&self.manifest, photo) else {
            return work();
        };
        // What is kept was looked at when the run began.
        for (_, path) in job.kept() {
            if manifest.is_of_other(path, photo, None)? {
                return Err(changed_meanwhile(&job.source));
            }
        }
        let mut by_recipe: BTreeMap<Digest, Vec<PathBuf>> = BTreeMap::new();
        for (extension, path) in job.files().filter(|(_, path)| has_stamp(path)) {
            let recipe = making.recipe(extension, &job.source);
            by_recipe.entry(recipe).or_default().push(path.to_owned());
        }
        let entries = by_recipe.into_iter().map(|(recipe, outputs)| Entry {
            task: making.kind.clone(),
            input: input_of(&job.source),
            page: job.source.page().map(|page| page.number),
            photo: photo.clone(),
            recipe,
            fit: making.fit,
            outputs,
            facts: Map::new(),
        });
        let mut entries: Vec<Entry> = entries.collect();
        entries.iter().try_for_each(|entry| manifest.begin(entry))?;
        let done = work()?;
        let mut facts = making.facts.clone();
        facts.extend(words.facts());
        for entry in &mut entries {
            entry.facts.clone_from(&facts);
            // Nothing may have been there to write.
            entry.outputs.retain(|output| output.exists());
            if !entry.outputs.is_empty() {
                manifest.finish(entry, |output| words.stamp_of(output))?;
            }
        }
        self.warn_of_siblings((job, making), photo, words)?;
        Ok(done)
    }

    /// Says which files beside those of a job are of another state of the photo, and are not made now.
    fn warn_of_siblings(
        &self,
        (job, making): (&Job, &Making),
        photo: &Stamp,
        words: &Console,
    ) -> Result<()> {
        let (Some(manifest), Some(picture)) = (&self.manifest, job.output(PICTURE).path()) else {
            return Ok(());
        };
        let planned: Vec<&str> = job.outputs().map(|(extension, _)| extension).collect();
        for sibling in making.siblings.iter().filter(|one| !planned.contains(one)) {
            let path = picture.with_extension(sibling);
            if manifest.is_of_other(&path, photo, making.fit.as_ref())? {
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
    pub fn standing_of_document(
        &self,
        path: &Path,
        (plan, making): (&Plan, &Making),
        most: u64,
    ) -> Result<Standing> {
        let Some(manifest) = &self.manifest else {
            return Ok(Standing::Foreign);
        };
        let (photo, recipe) = self.origin_of_document((plan, making), |_| None, most);
        let fit = match making.fit {
            Some(fit) => Some(fit),
            // Photos that wait for each other have one that is current, or the document is not asked about.
            None => manifest.fit_of(path, &recipe)?,
        };
        manifest.standing(
            path,
            &Wanted {
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
        (plan, making): (&Plan, &Making),
        (seen, most): (impl Fn(usize) -> Option<Digest>, u64),
        write: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let manifest = self.manifest.as_ref().filter(|_| has_stamp(path));
        let Some(manifest) = manifest else {
            return write();
        };
        let (photo, recipe) = self.origin_of_document((plan, making), seen, most);
        let entry = Entry {
            task: making.kind.clone(),
            input: PathBuf::from(DOCUMENT),
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
        (plan, making): (&Plan, &Making),
        seen: impl Fn(usize) -> Option<Digest>,
        most: u64,
    ) -> (Stamp, Digest) {
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
        (Stamp::of_bytes(&all), making.recipe_of_document())
    }
}

fn stamp_among(files: &[(PathBuf, Option<Stamp>)], file: &Path) -> Option<Stamp> {
    let known = files.iter().find(|(path, _)| path == file);
    known.and_then(|(_, stamp)| stamp.clone())
}

/// Whether what is at `path`, or will be, is a file or a folder, not a pipe or a device.
fn has_stamp(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |met| met.is_file() || met.is_dir())
}
