//! Failures in the manifest: records those of this run, and skips photos that failed before and would fail again.

use serde_json::{Map, json};

use crate::error::{Error, Result};
use crate::io::inputs::{InputFailure, Source};
use crate::io::manifest::entry::FailedEntry;
use crate::io::manifest::photo_name::photo_name;
use crate::io::manifest::task_digests::VERSION;
use crate::io::manifest::{
    FailureKind, Ledger, OutputFreshness, PhotoFailure, StaleReasons, TaskDigests,
};
use crate::io::output::{OutputJob, OutputPlan};
use crate::system::files::FileStamp;

/// For each job of a plan, the error of a photo that is skipped because it failed before and would fail again; `None`
/// for the others.
pub type SkippedFailures = Vec<Option<Error>>;

impl Ledger {
    /// The photos of a plan that are not retried: their bytes were at fault, and neither they nor the decoding options
    /// nor the program version have changed. At most `max_bytes` are read of a photo that is not a regular file.
    ///
    /// # Errors
    /// Names an output that cannot be read.
    pub fn skipped_failures(
        &self,
        plan: &OutputPlan,
        digests: &TaskDigests,
        max_bytes: u64,
    ) -> Result<SkippedFailures> {
        let known = plan.jobs.iter();
        known
            .map(|job| match self.retries_failed {
                true => Ok(None),
                false => self.skipped_failure(job, digests, max_bytes),
            })
            .collect()
    }

    fn skipped_failure(
        &self,
        job: &OutputJob,
        digests: &TaskDigests,
        max_bytes: u64,
    ) -> Result<Option<Error>> {
        let Some(manifest) = &self.manifest else {
            return Ok(None);
        };
        let known = manifest.failure(&digests.task, &photo_name(&job.source));
        let Some((Some(stamp), recipe, failure)) = known else {
            return Ok(None);
        };
        if !failure.kind.is_lasting() || recipe != digests.recipe_of_failure() {
            return Ok(None);
        }
        let now = self.stamp_of(&job.source, max_bytes);
        if now.is_ok_and(|now| now.digest != stamp.digest)
            || self.has_all_outputs(job, digests, &stamp)?
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

    /// Whether all outputs of a job exist and were made from this photo, as after a successful run recorded in another
    /// shard's manifest.
    fn has_all_outputs(
        &self,
        job: &OutputJob,
        digests: &TaskDigests,
        photo: &FileStamp,
    ) -> Result<bool> {
        if !job.is_done() {
            return Ok(false);
        }
        for (extension, path) in job.existing_files() {
            let (freshness, _) =
                self.inspect_output(path, extension, &job.source, Some(photo), digests)?;
            let is_of_it = match freshness {
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

    /// Records that a task failed for a photo; `stamp` is that of its bytes, if known. Usage errors and interrupts are
    /// not recorded.
    ///
    /// # Errors
    /// Names the manifest if it cannot be appended to.
    pub fn record_failure(
        &self,
        source: &Source,
        digests: &TaskDigests,
        stamp: Option<&FileStamp>,
        error: &Error,
    ) -> Result<()> {
        let page = source.page().map(|page| page.number);
        let failure = PhotoFailure::of(error, source.path());
        self.append_failure((source, page), digests, stamp, (error, &failure))
    }

    /// Records an input that does not exist or cannot be read. Other failed inputs are not photos and are not recorded.
    ///
    /// # Errors
    /// As [`Ledger::record_failure`].
    pub fn note_missing_input(&self, input: &InputFailure, digests: &TaskDigests) -> Result<()> {
        let failure = PhotoFailure::of(&input.error, &input.path);
        match failure.kind {
            FailureKind::Missing | FailureKind::Unreadable => {
                let source = Source::from_path(&input.path);
                self.append_failure((&source, None), digests, None, (&input.error, &failure))
            }
            _ => Ok(()),
        }
    }

    fn append_failure(
        &self,
        (source, page): (&Source, Option<u32>),
        digests: &TaskDigests,
        photo: Option<&FileStamp>,
        (error, failure): (&Error, &PhotoFailure),
    ) -> Result<()> {
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        // These errors end the run and are not the photo's.
        if matches!(error, Error::Usage(_) | Error::Interrupted) {
            return Ok(());
        }
        manifest.fail(&FailedEntry {
            task: &digests.task,
            input: &source.absolute(),
            page,
            photo,
            recipe: digests.recipe_of_failure(),
            failure,
            facts: &Map::from_iter([("program".to_owned(), json!(VERSION))]),
        })
    }
}
