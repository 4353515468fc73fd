//! TODO

use crate::error::{Error, Result};
use crate::io::manifest::inspection::{InspectedOutput, JobInspection};
use crate::io::manifest::stale_outputs::StaleOutputs;
use crate::io::manifest::{Ledger, ManifestEntry, OutputFreshness, SkippedFailures, TaskDigests};
use crate::io::output::{OutputJob, OutputPlan};
use crate::system::files::Digest;
use crate::terminal::console::Console;
use std::path::Path;

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

impl Ledger {
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
                input: job.source.absolute(),
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

    fn fit_of(&self, path: &Path, recipe: &Digest) -> Result<Option<Digest>> {
        let manifest = self.manifest.as_ref();
        manifest.map_or(Ok(None), |manifest| manifest.fit_of(path, recipe))
    }
}

fn is_skipped(broken: &SkippedFailures, index: usize) -> bool {
    broken.get(index).is_some_and(Option::is_some)
}
