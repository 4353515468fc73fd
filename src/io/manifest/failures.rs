//! What is known of photos that failed before, and what is noted of those that fail now.

use serde_json::{Map, json};

use crate::error::{Error, Result};
use crate::io::inputs::{Failure as Lost, Source};
use crate::io::manifest::ledger::input_of;
use crate::io::manifest::making::VERSION;
use crate::io::manifest::{
    Difference, Failed, Failure, FailureKind, Ledger, Making, PhotoName, Standing,
};
use crate::io::output::{Job, Plan};
use crate::system::files::Stamp;

/// Why each photo is not tried that failed before for its own sake, and would fail again.
pub type Broken = Vec<Option<Error>>;

impl Ledger {
    /// Which photos of a plan are not tried again: their bytes were at fault, and neither they nor what reads them has
    /// changed. `most` bytes of what is no regular file are read.
    ///
    /// # Errors
    /// Names an output that cannot be read.
    pub fn known_failures(&self, plan: &Plan, making: &Making, most: u64) -> Result<Broken> {
        let known = plan.jobs.iter();
        known
            .map(|job| match self.tries_all {
                true => Ok(None),
                false => self.known_failure(job, making, most),
            })
            .collect()
    }

    fn known_failure(&self, job: &Job, making: &Making, most: u64) -> Result<Option<Error>> {
        let Some(manifest) = &self.manifest else {
            return Ok(None);
        };
        let known = manifest.failure(&making.kind, &photo_name(&job.source));
        let Some((Some(stamp), recipe, failure)) = known else {
            return Ok(None);
        };
        if !failure.kind.is_lasting() || recipe != making.recipe_of_failure() {
            return Ok(None);
        }
        let now = self.stamp_of(&job.source, most);
        if now.is_ok_and(|now| now.digest != stamp.digest) || self.is_made(job, making, &stamp)? {
            return Ok(None);
        }
        Ok(Some(Error::fault(
            job.source.path(),
            format!(
                "{} (as before; --retry-failed tries again)",
                failure.message
            ),
            failure.kind.fault(),
        )))
    }

    /// Whether all outputs of a job are there, made of this photo: another run had more luck, which was noted elsewhere.
    fn is_made(&self, job: &Job, making: &Making, photo: &Stamp) -> Result<bool> {
        if !job.is_done() {
            return Ok(false);
        }
        for (extension, path) in job.kept() {
            let (standing, _) = self.look_at(path, extension, &job.source, Some(photo), making)?;
            let is_of_it = match standing {
                Standing::Same => true,
                Standing::Other(Difference { photo, recipe, .. }) => !photo && !recipe,
                Standing::Absent | Standing::Foreign => false,
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
        making: &Making,
        stamp: Option<&Stamp>,
        error: &Error,
    ) -> Result<()> {
        let page = source.page().map(|page| page.number);
        let failure = Failure::of(error, source.path());
        self.note_failed((source, page), making, stamp, (error, &failure))
    }

    /// Notes an input that is not there, or cannot be looked at. What was no photo from the start is not noted.
    ///
    /// # Errors
    /// As [`Ledger::note_failure`].
    pub fn note_lost(&self, lost: &Lost, making: &Making) -> Result<()> {
        let failure = Failure::of(&lost.error, &lost.path);
        match failure.kind {
            FailureKind::Missing | FailureKind::Unreadable => {
                let source = Source::named(&lost.path);
                self.note_failed((&source, None), making, None, (&lost.error, &failure))
            }
            _ => Ok(()),
        }
    }

    fn note_failed(
        &self,
        (source, page): (&Source, Option<u32>),
        making: &Making,
        photo: Option<&Stamp>,
        (error, failure): (&Error, &Failure),
    ) -> Result<()> {
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        // They end the run, and are not the photo's.
        if matches!(error, Error::Usage(_) | Error::Interrupted) {
            return Ok(());
        }
        manifest.fail(&Failed {
            task: &making.kind,
            input: &input_of(source),
            page,
            photo,
            recipe: making.recipe_of_failure(),
            failure,
            facts: &Map::from_iter([("program".to_owned(), json!(VERSION))]),
        })
    }
}

/// By which a photo is known in the record.
pub(super) fn photo_name(source: &Source) -> PhotoName {
    let path = input_of(source);
    let page = source.page_number();
    (path.as_os_str().as_encoded_bytes().to_vec(), page)
}
