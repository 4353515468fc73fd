//! What each task of a run is going to do, against what is there.

use serde_json::json;

use super::protect::protect_installed;
use super::task_run::TaskRun;
use crate::error::{Error, Result};
use crate::io::inputs::Source;
use crate::io::manifest::{
    FormerFits, Ledger, OutputFreshness, RefusedPhotos, SkippedFailures, TaskDigests,
};
use crate::io::output::OutputPlan;
use crate::model::weights::Store;
use crate::system::files::Digest;
use crate::tasks::inference::stored_features::StoredFeatures;
use crate::tasks::{PhotoSelection, Task};

/// What a task is going to do.
pub(super) struct PlannedTask {
    pub plan: OutputPlan,
    pub task_digests: TaskDigests,
    /// What stands in the way of each photo.
    pub refused: RefusedPhotos,
    /// What is not tried again of what failed before.
    pub failed_before: SkippedFailures,
    /// What is there already of a task that waits for all photos.
    pub former: FormerFits,
    /// Whether the folder may have pictures by another fit than the run's.
    pub may_mix_fits: bool,
}

impl TaskRun<'_> {
    /// How a task makes its outputs, on a backbone with this `fingerprint`.
    pub(super) fn task_digests(&self, task: &dyn Task, fingerprint: &str) -> Result<TaskDigests> {
        let settings = |extension: &str| {
            Ok(json!({
                "settings": task.settings(extension)?.into_json(),
                "model": fingerprint,
                "dtype": self.dtype,
                "stored": self.stored.map(StoredFeatures::meta),
                "photos": self.context.decoder.options.tag(),
            }))
        };
        let making = TaskDigests::new(task.kind(), &task.extensions(), settings)?;
        let making = making.with_siblings(task.sibling_extensions());
        let digest = task.head_digest()?;
        let head = task.head().map(|head| &head.meta.name);
        let mut making = making
            .with_decoding(&self.context.decoder.options)
            .with_facts(json!({
                "model": {"name": self.model.name, "fingerprint": fingerprint},
                "head": head.map(|name| json!({"name": name, "digest": digest})),
                "dtype": self.dtype,
                "photos": self.context.decoder.options.tag(),
                "parameters": task.parameters(),
            }));
        if let Some(document) = task.document() {
            making.document = Some(Digest::of_json(&settings(document.extension)?));
        }
        Ok(making)
    }

    /// What a task is going to do, and where its results go.
    pub(super) fn plan_task(
        &self,
        task: &mut dyn Task,
        sources: Vec<Source>,
        ledger: &Ledger,
    ) -> Result<PlannedTask> {
        let elsewhere = task.redirected_output();
        let planned: Vec<&'static str> = task
            .extensions()
            .into_iter()
            .filter(|extension| elsewhere.map(|(extension, _)| extension) != Some(*extension))
            .collect();
        let mut plan = OutputPlan::new(sources, self.options, &task.kind(), &planned)?;
        if let Some((extension, path)) = elsewhere {
            plan.redirect_output(extension, path, self.options.force)?;
        }
        protect_installed(&mut plan.outputs, &Store::open()?);
        ledger.protect(&mut plan.outputs);
        plan.outputs.protect(task.input_files());
        let fingerprint = self.model.fingerprint.as_deref().unwrap_or_default();
        let mut making = self.task_digests(task, fingerprint)?;
        let most = self.context.decoder.options.max_memory;
        let mut mixes = false;
        if self.keep_fit
            && task.is_two_pass()
            && let Some(fit) = ledger.former_fit(&plan, &making)?
        {
            task.adopt_fit(&ledger.fit_file(&making, &fit)?)?;
            making.fit = Some(fit);
            // Whatever is there by another fit was there before.
            mixes = ledger
                .describe_other_fit(&plan, &making, self.console)?
                .is_some();
            self.console.note(format_args!(
                "{}: new photos get the fit of those that are there",
                making.task
            ));
        }
        let mut former = FormerFits::default();
        let refused;
        let broken = ledger.skipped_failures(&plan, &making, most)?;
        let of_broken = (&broken, most);
        if task.is_two_pass() {
            (refused, former) =
                ledger.reconcile_fitted(&mut plan, &making, of_broken, self.console)?;
            if !former.is_current {
                let words = (self.options.force, self.console);
                mixes = ledger.check_one_fit(&plan, &making, &former.fits, words)?;
            }
        } else {
            refused = ledger.reconcile(&mut plan, &making, of_broken, self.console)?;
            let mut tried = plan.jobs.iter().zip(&broken);
            if tried.any(|(job, broken)| !job.is_done() && broken.is_none())
                && let Some(what) = ledger.describe_other_fit(&plan, &making, self.console)?
            {
                self.console.note(what);
            }
        }
        task.prepare_plan(&mut plan, self.console)?;
        if let Some(document) = task.document()
            && document.is_kept
            && (task.is_two_pass() && !former.is_current
                || ledger.document_freshness(&document.path, (&plan, &making), most)?
                    != OutputFreshness::Fresh)
        {
            return Err(Error::Usage(format!(
                "{} is there already, and was made of other photos, with other settings or by another program, or was \
                 changed since; --force replaces it, or give the document another name",
                document.path.display()
            )));
        }
        Ok(PlannedTask {
            plan,
            task_digests: making,
            refused,
            failed_before: broken,
            former,
            may_mix_fits: mixes,
        })
    }
}

/// Which tasks each photo is for, a bit a task.
pub(super) fn wanted_tasks(tasks: &[Box<dyn Task>], planned: &[PlannedTask]) -> Vec<u64> {
    let jobs = |planned: &PlannedTask| planned.plan.jobs.len();
    let mut wanted = vec![0u64; planned.first().map_or(0, jobs)];
    for (index, (task, planned)) in tasks.iter().zip(planned).enumerate() {
        let jobs = &planned.plan.jobs;
        let mut stands = planned.refused.iter().zip(&planned.failed_before);
        let is_any_free = stands.any(|(refused, broken)| refused.is_none() && broken.is_none());
        for (photo, (wanted, job)) in wanted.iter_mut().zip(jobs).enumerate() {
            let is_refused = planned.refused.get(photo).is_some_and(Option::is_some);
            let is_wanted = match task.photo_selection() {
                PhotoSelection::Missing => !task.is_complete(photo, job) && !is_refused,
                // What cannot be replaced takes part in the fit.
                PhotoSelection::AllOrNone => !planned.former.is_current && is_any_free,
                PhotoSelection::All => !is_refused || task.is_two_pass(),
            };
            let is_broken = planned
                .failed_before
                .get(photo)
                .is_some_and(Option::is_some);
            *wanted |= u64::from(is_wanted && !is_broken) << index;
        }
    }
    wanted
}
