//! What a run is about to make, against what was noted of what is there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::inputs::Source;
use crate::io::manifest::stale_outputs::StaleOutputs;
use crate::io::manifest::{
    ExpectedOrigin, Manifest, ManifestEntry, OutputFreshness, SkippedFailures, TaskDigests,
};
use crate::io::output::{OutputJob, OutputOptions, OutputPlan, OutputRegistry, OutputTarget};
use crate::system::files::{Digest, FileStamp};
use crate::terminal::console::Console;

/// What stands in the way of each photo, if anything does: a file that is nobody's work but the user's.
pub type RefusedPhotos = Vec<Option<Error>>;

/// What is known of the outputs of a task whose photos wait for each other.
#[derive(Debug, Default)]
pub struct FormerFits {
    /// The fit that each photo was drawn with, where all its files are there and nothing else has changed.
    pub fits: Vec<Option<Digest>>,
    /// By photo and extension, what is there and is made again if the fit is another one.
    pub replaceable: Vec<(usize, &'static str)>,
    /// Whether all photos are drawn, but those that cannot be read, with a fit to just these photos.
    pub is_current: bool,
}

/// The outputs of a job that are there.
struct JobInspection {
    outputs: Vec<InspectedOutput>,
    /// Of the photo, where anything is there and it can be read.
    photo: Option<FileStamp>,
    /// What stands in its way.
    refusal: Option<Error>,
}

/// An output that is there.
struct InspectedOutput {
    extension: &'static str,
    path: PathBuf,
    freshness: OutputFreshness,
    /// Whether it is noted as done as it is.
    is_noted: bool,
}

/// What is known of the folder of outputs; nothing where there is none. All clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub(super) manifest: Option<Arc<Manifest>>,
    /// What is named on the command line in place of a folder.
    target: Option<PathBuf>,
    /// Whether photos that failed before are tried again.
    pub(super) retries_failed: bool,
}

impl Ledger {
    /// Of the folder that a run writes into.
    ///
    /// # Errors
    /// As [`Manifest::open`].
    pub fn open(options: &OutputOptions) -> Result<Self> {
        let mut ledger = Ledger {
            retries_failed: options.force || options.retry_failed,
            ..Ledger::default()
        };
        match &options.target {
            OutputTarget::Folder(_) if options.no_manifest => {}
            OutputTarget::Folder(folder) => {
                let manifest = Manifest::open_shard(folder, options.shard)?;
                ledger.manifest = Some(Arc::new(manifest));
            }
            OutputTarget::File(path, _) => ledger.target = Some(path.clone()),
            OutputTarget::Stdout => {}
        }
        Ok(ledger)
    }

    /// Itself, if it is of this folder.
    pub fn for_folder(self, folder: &Path) -> Option<Self> {
        let manifest = self.manifest.as_ref()?;
        (manifest.folder() == folder).then_some(self)
    }

    /// Whether nothing is noted though the results go to a folder.
    pub fn is_without_record(&self) -> bool {
        self.manifest.is_none() && self.target.is_none()
    }

    /// The absolute path of a photo, by which it is known wherever it is named from.
    pub fn input_path(source: &Source) -> PathBuf {
        input_path(source)
    }

    /// Whether the output at `path` is not what it was when it was noted as done; one of which nothing is noted is not.
    ///
    /// # Errors
    /// Names the output that cannot be read.
    pub fn is_changed(&self, path: &Path) -> Result<bool> {
        let manifest = self.manifest.as_ref();
        manifest.map_or(Ok(false), |manifest| manifest.is_changed(path))
    }

    /// Notes that outputs are done that a killed run made and did not come to note.
    fn note_recovered(
        &self,
        job: &OutputJob,
        making: &TaskDigests,
        there: &JobInspection,
    ) -> Result<()> {
        let (Some(manifest), Some(photo)) = (&self.manifest, &there.photo) else {
            return Ok(());
        };
        let is_unnoted = |output: &&InspectedOutput| {
            output.freshness == OutputFreshness::Fresh && !output.is_noted
        };
        for output in there.outputs.iter().filter(is_unnoted) {
            let entry = ManifestEntry {
                task: making.task.clone(),
                input: input_path(&job.source),
                page: job.source.page().map(|page| page.number),
                photo: photo.clone(),
                recipe: making.recipe(output.extension, &job.source),
                fit: making.fit,
                outputs: vec![output.path.clone()],
                facts: making.facts.clone(),
            };
            manifest.finish(&entry, |_| None)?;
        }
        Ok(())
    }

    /// Writes down what failed, of a run over `photos`, though nothing was made: the folder of a run over one is not made for
    /// that alone.
    ///
    /// # Errors
    /// As [`Manifest::settle`].
    pub fn flush_failures(&self, photos: usize) -> Result<()> {
        match &self.manifest {
            Some(manifest) if photos > 1 => manifest.flush_failures(),
            _ => Ok(()),
        }
    }

    /// Keeps the record itself from being replaced by any output.
    pub fn protect(&self, outputs: &mut OutputRegistry) {
        if let Some(manifest) = &self.manifest {
            outputs.protect([manifest.path().as_path()]);
        }
    }

    /// Takes the stamp of a photo; `most` bytes of what is no regular file are read.
    ///
    /// # Errors
    /// Names the photo that cannot be read.
    pub fn stamp_of(&self, source: &Source, most: u64) -> Result<FileStamp> {
        let is_regular = source.metadata().is_some_and(|met| met.is_file());
        match (source, &self.manifest) {
            (Source::TarMember { member, .. }, Some(manifest)) => {
                match manifest.photo_stamp(&member.path) {
                    Some(known) if member.has_untouched_tar(&known) => Ok(known),
                    _ => Ok(member.stamp(&source.read(most)?)),
                }
            }
            (Source::TarMember { member, .. }, None) => Ok(member.stamp(&source.read(most)?)),
            (Source::File { path, .. }, Some(manifest)) if is_regular => manifest.stamp_of(path),
            (Source::File { path, .. }, None) if is_regular => FileStamp::of_file(path),
            _ => Ok(FileStamp::of_bytes(&source.read(most)?)),
        }
    }

    /// Decides of everything that is there already: what was made from these photos in this way is kept, what was made
    /// otherwise is made again, and that is said. What is not known to be this program's work is left alone, and its
    /// photo refused. Of photos that are `broken` nothing is decided.
    ///
    /// # Errors
    /// [`Error::Usage`] if what is named on the command line is there; names what cannot be replaced or read.
    pub fn reconcile(
        &self,
        plan: &mut OutputPlan,
        making: &TaskDigests,
        (broken, most): (&SkippedFailures, u64),
        console: &Console,
    ) -> Result<RefusedPhotos> {
        let mut told = StaleOutputs::default();
        let mut refused = Vec::with_capacity(plan.jobs.len());
        for index in 0..plan.jobs.len() {
            if is_skipped(broken, index) {
                refused.push(None);
                continue;
            }
            let there = self.inspect_job(&plan.jobs[index], making, most)?;
            self.note_recovered(&plan.jobs[index], making, &there)?;
            for output in there.outputs {
                if let OutputFreshness::Stale(difference) = output.freshness {
                    told.add(&plan.jobs[index].source, &output.path, difference);
                }
                if !matches!(
                    output.freshness,
                    OutputFreshness::Fresh | OutputFreshness::Foreign
                ) {
                    plan.replace_existing(index, output.extension)?;
                }
            }
            refused.push(there.refusal);
        }
        told.report(console);
        Ok(refused)
    }

    /// As [`Ledger::settle`], for a task that draws all photos with one fit to them, which is not known before they all
    /// have been seen.
    ///
    /// # Errors
    /// As [`Ledger::settle`].
    pub fn reconcile_fitted(
        &self,
        plan: &mut OutputPlan,
        making: &TaskDigests,
        (broken, most): (&SkippedFailures, u64),
        console: &Console,
    ) -> Result<(RefusedPhotos, FormerFits)> {
        let mut told = StaleOutputs::default();
        let mut former = FormerFits::default();
        let mut all_refused = Vec::with_capacity(plan.jobs.len());
        let mut changed = Vec::new();
        for (index, job) in plan.jobs.iter().enumerate() {
            if is_skipped(broken, index) {
                all_refused.push(None);
                former.fits.push(None);
                continue;
            }
            let JobInspection {
                outputs, refusal, ..
            } = self.inspect_job(job, making, most)?;
            let mut is_same = outputs.len() == job.outputs().count() && refusal.is_none();
            let mut fit = None;
            for InspectedOutput {
                extension,
                path,
                freshness: standing,
                ..
            } in outputs
            {
                match standing {
                    OutputFreshness::Stale(difference)
                        if difference.is_photo_changed || difference.is_recipe_changed =>
                    {
                        told.add(&job.source, &path, difference);
                        changed.push((index, extension));
                        is_same = false;
                        continue;
                    }
                    OutputFreshness::Foreign => continue,
                    _ => {}
                }
                let own = self.fit_of(&path, &making.recipe(extension, &job.source))?;
                is_same &= own.is_some() && fit.is_none_or(|fit| Some(fit) == own);
                fit = fit.or(own);
                former.replaceable.push((index, extension));
            }
            all_refused.push(refusal);
            former.fits.push(fit.filter(|_| is_same));
        }
        told.report(console);
        for (index, extension) in changed {
            plan.replace_existing(index, extension)?;
        }
        // Those that cannot be read took no part in the fit.
        let jobs = plan.jobs.iter().zip(&former.fits).enumerate();
        let jobs: Vec<_> = jobs
            .filter(|(index, _)| !is_skipped(broken, *index))
            .map(|(_, of)| of)
            .collect();
        if jobs.iter().all(|(_, own)| own.is_some()) {
            let photos = jobs.iter().map(|(job, _)| {
                let page = job.source.page_number();
                Ok((self.stamp_of(&job.source, most)?.digest, page))
            });
            let fit = Self::fit_digest(photos.collect::<Result<Vec<_>>>()?.into_iter());
            former.is_current = jobs.iter().all(|(_, own)| **own == Some(fit));
        }
        Ok((all_refused, former))
    }

    /// How the outputs of a job stand that are there, and what stands in its way.
    fn inspect_job(
        &self,
        job: &OutputJob,
        making: &TaskDigests,
        most: u64,
    ) -> Result<JobInspection> {
        let mut outputs = Vec::new();
        let mut refusal = None;
        let kept: Vec<(&'static str, &Path)> = job.existing_files().collect();
        let photo = match kept.is_empty() || self.is_empty() {
            true => None,
            // That of a photo that cannot be read is told when it is decoded.
            false => self.stamp_of(&job.source, most).ok(),
        };
        for (extension, path) in kept {
            let (standing, is_noted) =
                self.inspect_output(path, extension, &job.source, photo.as_ref(), making)?;
            if standing == OutputFreshness::Foreign {
                refusal.get_or_insert_with(|| foreign(path));
            }
            outputs.push(InspectedOutput {
                extension,
                path: path.to_owned(),
                freshness: standing,
                is_noted,
            });
        }
        Ok(JobInspection {
            outputs,
            photo,
            refusal,
        })
    }

    fn fit_of(&self, path: &Path, recipe: &Digest) -> Result<Option<Digest>> {
        let manifest = self.manifest.as_ref();
        manifest.map_or(Ok(None), |manifest| manifest.fit_of(path, recipe))
    }

    fn is_empty(&self) -> bool {
        self.manifest
            .as_ref()
            .is_none_or(|manifest| manifest.is_empty())
    }

    /// How an output that is there stands, and whether it is noted as done as it is.
    pub(super) fn inspect_output(
        &self,
        path: &Path,
        extension: &str,
        source: &Source,
        photo: Option<&FileStamp>,
        making: &TaskDigests,
    ) -> Result<(OutputFreshness, bool)> {
        let Some(manifest) = &self.manifest else {
            if self.target.is_none() {
                return Err(Error::Usage(format!(
                    "{} is there already, and with --no-manifest nothing tells what it was made of; --force replaces it, -o DIR \
                     puts results elsewhere",
                    path.display()
                )));
            }
            let name = self.target.as_deref().unwrap_or(path);
            let beside = match name == path {
                true => String::new(),
                false => format!("-o {}: ", name.display()),
            };
            return Err(Error::Usage(format!(
                "{beside}{} is there already; --force replaces it",
                path.display()
            )));
        };
        // Whether anything is known of it does not depend on the photo.
        let nothing = FileStamp::of_bytes(b"");
        manifest.inspect_output(
            path,
            &ExpectedOrigin {
                photo: photo.unwrap_or(&nothing),
                recipe: &making.recipe(extension, source),
                fit: making.fit.as_ref(),
            },
        )
    }
}

fn is_skipped(broken: &SkippedFailures, index: usize) -> bool {
    broken.get(index).is_some_and(Option::is_some)
}

/// The absolute path of a photo, by which it is known wherever it is named from.
pub(super) fn input_path(source: &Source) -> PathBuf {
    source.absolute()
}

/// Why a file is neither kept nor replaced.
fn foreign(path: &Path) -> Error {
    Error::file(
        path,
        "is there already, and either dino did not make it or it was changed since; --force replaces it, -o DIR puts results \
         elsewhere",
    )
}
