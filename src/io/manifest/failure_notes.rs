//! What is known of photos that failed before, and what is noted of those that fail now.

use serde_json::{Map, json};

use crate::error::{Error, Result};
use crate::io::inputs::{InputFailure as Lost, Source};
use crate::io::manifest::entry::FailedEntry;
use crate::io::manifest::photo_name::photo_name;
use crate::io::manifest::task_digests::VERSION;
use crate::io::manifest::{
    FailureKind, Ledger, OutputFreshness, PhotoFailure, StaleReasons, TaskDigests,
};
use crate::io::output::{OutputJob, OutputPlan};
use crate::system::files::FileStamp;

/// Why each photo is not tried that failed before for its own sake, and would fail again.
pub type SkippedFailures = Vec<Option<Error>>;

impl Ledger {
    /// Which photos of a plan are not tried again: their bytes were at fault, and neither they nor what reads them has
    /// changed. `most` bytes of what is no regular file are read.
    ///
    /// # Errors
    /// Names an output that cannot be read.
    pub fn skipped_failures(
        &self,
        plan: &OutputPlan,
        making: &TaskDigests,
        most: u64,
    ) -> Result<SkippedFailures> {
        let known = plan.jobs.iter();
        known
            .map(|job| match self.retries_failed {
                true => Ok(None),
                false => self.skipped_failure(job, making, most),
            })
            .collect()
    }

    fn skipped_failure(
        &self,
        job: &OutputJob,
        making: &TaskDigests,
        most: u64,
    ) -> Result<Option<Error>> {
        let Some(manifest) = &self.manifest else {
            return Ok(None);
        };
        let known = manifest.failure(&making.task, &photo_name(&job.source));
        let Some((Some(stamp), recipe, failure)) = known else {
            return Ok(None);
        };
        if !failure.kind.is_lasting() || recipe != making.recipe_of_failure() {
            return Ok(None);
        }
        let now = self.stamp_of(&job.source, most);
        if now.is_ok_and(|now| now.digest != stamp.digest)
            || self.has_all_outputs(job, making, &stamp)?
        {
            return Ok(None);
        }
        Ok(Some(Error::file_with_fault(
            job.source.path(),
            format!(
                "{} (as before; --retry-failed tries again)",
                failure.message
            ),
            failure.kind.fault(),
        )))
    }

    /// Whether all outputs of a job are there, made of this photo: another run had more luck, which was noted elsewhere.
    fn has_all_outputs(
        &self,
        job: &OutputJob,
        making: &TaskDigests,
        photo: &FileStamp,
    ) -> Result<bool> {
        if !job.is_done() {
            return Ok(false);
        }
        for (extension, path) in job.existing_files() {
            let (standing, _) =
                self.inspect_output(path, extension, &job.source, Some(photo), making)?;
            let is_of_it = match standing {
                OutputFreshness::Fresh => true,
                OutputFreshness::Stale(StaleReasons {
                    is_photo_changed: photo,
                    is_recipe_changed: recipe,
                    ..
                }) => !photo && !recipe,
                OutputFreshness::Absent | OutputFreshness::Foreign => false,
            };
            if !is_of_it {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Notes why nothing was made of a photo, of whose bytes the `stamp` is, if it is known.
    ///
    /// # Errors
    /// Names the folder's record if it cannot be appended to.
    pub fn note_failure(
        &self,
        source: &Source,
        making: &TaskDigests,
        stamp: Option<&FileStamp>,
        error: &Error,
    ) -> Result<()> {
        let page = source.page().map(|page| page.number);
        let failure = PhotoFailure::of(error, source.path());
        self.append_failure((source, page), making, stamp, (error, &failure))
    }

    /// Notes an input that is not there, or cannot be looked at. What was no photo from the start is not noted.
    ///
    /// # Errors
    /// As [`Ledger::note_failure`].
    pub fn note_missing_input(&self, lost: &Lost, making: &TaskDigests) -> Result<()> {
        let failure = PhotoFailure::of(&lost.error, &lost.path);
        match failure.kind {
            FailureKind::Missing | FailureKind::Unreadable => {
                let source = Source::from_path(&lost.path);
                self.append_failure((&source, None), making, None, (&lost.error, &failure))
            }
            _ => Ok(()),
        }
    }

    fn append_failure(
        &self,
        (source, page): (&Source, Option<u32>),
        making: &TaskDigests,
        photo: Option<&FileStamp>,
        (error, failure): (&Error, &PhotoFailure),
    ) -> Result<()> {
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        // They end the run, and are not the photo's.
        if matches!(error, Error::Usage(_) | Error::Interrupted) {
            return Ok(());
        }
        manifest.fail(&FailedEntry {
            task: &making.task,
            input: &source.absolute(),
            page,
            photo,
            recipe: making.recipe_of_failure(),
            failure,
            facts: &Map::from_iter([("program".to_owned(), json!(VERSION))]),
        })
    }
}
