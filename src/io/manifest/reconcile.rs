//! Compares the plan of a run with the existing outputs: which are kept, which are made again, and which photos are
//! refused.

use std::path::Path;

use crate::error::{Error, Result};
use crate::io::manifest::inspection::{InspectedOutput, JobInspection};
use crate::io::manifest::stale_outputs::StaleOutputs;
use crate::io::manifest::{Ledger, ManifestEntry, OutputFreshness, SkippedFailures, TaskDigests};
use crate::io::output::{OutputJob, OutputPlan};
use crate::system::files::Digest;
use crate::terminal::console::Console;

/// For each job of a plan, the error of a photo whose output would replace a file that dino did not write; `None` for
/// the others.
pub type RefusedPhotos = Vec<Option<Error>>;

/// The existing outputs of a task with one fit to all photos.
#[derive(Debug, Default)]
pub struct FormerFits {
    /// For each job, the fit of its outputs; `None` unless all of them exist, are up to date except for the fit, and
    /// have the same one.
    pub fits: Vec<Option<Digest>>,
    /// (Job, extension) of existing outputs to make again if the new fit differs.
    pub replaceable: Vec<(usize, &'static str)>,
    /// Whether all photos, except skipped ones, have outputs whose fit is that to exactly these photos in this order.
    pub is_current: bool,
}

impl Ledger {
    /// Decides about each existing output of `plan`: up-to-date ones are kept, stale ones are marked to be made again,
    /// with a note, and a photo with a foreign one is refused. `skipped` photos are ignored. At most `max_bytes` are
    /// read of a photo that is not a regular file.
    ///
    /// # Errors
    /// [`Error::Usage`] if an output exists and there is no manifest; names the output that cannot be replaced or read.
    pub fn reconcile(
        &self,
        plan: &mut OutputPlan,
        digests: &TaskDigests,
        (skipped, max_bytes): (&SkippedFailures, u64),
        console: &Console,
    ) -> Result<RefusedPhotos> {
        let mut stale = StaleOutputs::default();
        let mut refused = Vec::with_capacity(plan.jobs.len());
        for index in 0..plan.jobs.len() {
            if is_skipped(skipped, index) {
                refused.push(None);
                continue;
            }
            let inspection = self.inspect_job(&plan.jobs[index], digests, max_bytes)?;
            self.note_recovered(&plan.jobs[index], digests, &inspection)?;
            for output in inspection.outputs {
                if let OutputFreshness::Stale(reasons) = output.freshness {
                    stale.add(&plan.jobs[index].source, &output.path, reasons);
                }
                if !matches!(
                    output.freshness,
                    OutputFreshness::Fresh | OutputFreshness::Foreign
                ) {
                    plan.replace_existing(index, output.extension)?;
                }
            }
            refused.push(inspection.refusal);
        }
        stale.report(console);
        Ok(refused)
    }

    /// As [`Ledger::reconcile`], for a task with one fit to all photos, which is known only after all of them were
    /// computed: outputs that may differ only in the fit are listed in [`FormerFits`] and decided later.
    ///
    /// # Errors
    /// As [`Ledger::reconcile`].
    pub fn reconcile_fitted(
        &self,
        plan: &mut OutputPlan,
        digests: &TaskDigests,
        (skipped, max_bytes): (&SkippedFailures, u64),
        console: &Console,
    ) -> Result<(RefusedPhotos, FormerFits)> {
        let mut stale = StaleOutputs::default();
        let mut former = FormerFits::default();
        let mut all_refused = Vec::with_capacity(plan.jobs.len());
        let mut changed = Vec::new();
        for (index, job) in plan.jobs.iter().enumerate() {
            if is_skipped(skipped, index) {
                all_refused.push(None);
                former.fits.push(None);
                continue;
            }
            let JobInspection {
                outputs, refusal, ..
            } = self.inspect_job(job, digests, max_bytes)?;
            let mut is_same = outputs.len() == job.outputs().count() && refusal.is_none();
            let mut fit = None;
            for InspectedOutput {
                extension,
                path,
                freshness,
                ..
            } in outputs
            {
                match freshness {
                    OutputFreshness::Stale(reasons)
                        if reasons.is_photo_changed || reasons.is_recipe_changed =>
                    {
                        stale.add(&job.source, &path, reasons);
                        changed.push((index, extension));
                        is_same = false;
                        continue;
                    }
                    OutputFreshness::Foreign => continue,
                    _ => {}
                }
                let own_fit = self.fit_of(&path, &digests.recipe(extension, &job.source))?;
                is_same &= own_fit.is_some() && fit.is_none_or(|fit| Some(fit) == own_fit);
                fit = fit.or(own_fit);
                former.replaceable.push((index, extension));
            }
            all_refused.push(refusal);
            former.fits.push(fit.filter(|_| is_same));
        }
        stale.report(console);
        for (index, extension) in changed {
            plan.replace_existing(index, extension)?;
        }
        // Skipped photos are not part of the fit.
        let jobs = plan.jobs.iter().zip(&former.fits).enumerate();
        let jobs: Vec<_> = jobs
            .filter(|(index, _)| !is_skipped(skipped, *index))
            .map(|(_, of)| of)
            .collect();
        if jobs.iter().all(|(_, own_fit)| own_fit.is_some()) {
            let photos = jobs.iter().map(|(job, _)| {
                let page = job.source.page_number();
                Ok((self.stamp_of(&job.source, max_bytes)?.digest, page))
            });
            let fit = Self::fit_digest(photos.collect::<Result<Vec<_>>>()?.into_iter());
            former.is_current = jobs.iter().all(|(_, own_fit)| **own_fit == Some(fit));
        }
        Ok((all_refused, former))
    }

    /// Appends the missing `done` lines of up-to-date outputs that a killed run had completed.
    fn note_recovered(
        &self,
        job: &OutputJob,
        digests: &TaskDigests,
        inspection: &JobInspection,
    ) -> Result<()> {
        let (Some(manifest), Some(photo)) = (&self.manifest, &inspection.photo) else {
            return Ok(());
        };
        let is_unnoted = |output: &&InspectedOutput| {
            output.freshness == OutputFreshness::Fresh && !output.is_noted
        };
        for output in inspection.outputs.iter().filter(is_unnoted) {
            let entry = ManifestEntry {
                task: digests.task.clone(),
                input: job.source.absolute(),
                page: job.source.page().map(|page| page.number),
                photo: photo.clone(),
                recipe: digests.recipe(output.extension, &job.source),
                fit: digests.fit,
                outputs: vec![output.path.clone()],
                facts: digests.facts.clone(),
            };
            manifest.finish(&entry, |_| None)?;
        }
        Ok(())
    }

    /// The fit of the output at `path`; `None` if it was not made with `recipe` or has no fit.
    fn fit_of(&self, path: &Path, recipe: &Digest) -> Result<Option<Digest>> {
        let manifest = self.manifest.as_ref();
        manifest.map_or(Ok(None), |manifest| manifest.fit_of(path, recipe))
    }
}

fn is_skipped(skipped: &SkippedFailures, index: usize) -> bool {
    skipped.get(index).is_some_and(Option::is_some)
}
