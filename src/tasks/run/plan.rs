//! The plan of each task: which files it writes, compared with those that are there and with the folder's record.

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

/// The plan of one task.
pub(super) struct PlannedTask {
    /// The destinations of each photo's files.
    pub plan: OutputPlan,
    /// Digests of the settings that decide the files' content.
    pub task_digests: TaskDigests,
    /// For each photo, the file that it would replace but must not.
    pub refused: RefusedPhotos,
    /// For each photo, the earlier failure for which it is not tried again.
    pub failed_before: SkippedFailures,
    /// For a two-pass task, the fits of the files that are there.
    pub former: FormerFits,
    /// Whether the folder may keep pictures with another fit than the run's.
    pub may_mix_fits: bool,
}

impl TaskRun<'_> {
    /// The digests of a task's settings, with the backbone of this `fingerprint`.
    ///
    /// # Errors
    /// As [`Task::settings`].
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
        let task_digests = TaskDigests::new(task.kind(), &task.extensions(), settings)?;
        let task_digests = task_digests.with_siblings(task.sibling_extensions());
        let digest = task.head_digest()?;
        let head = task.head().map(|head| &head.meta.name);
        let mut task_digests = task_digests
            .with_decoding(&self.context.decoder.options)
            .with_facts(json!({
                "model": {"name": self.model.name, "fingerprint": fingerprint},
                "head": head.map(|name| json!({"name": name, "digest": digest})),
                "dtype": self.dtype,
                "photos": self.context.decoder.options.tag(),
                "parameters": task.parameters(),
            }));
        if let Some(document) = task.document() {
            task_digests.document = Some(Digest::of_json(&settings(document.extension)?));
        }
        Ok(task_digests)
    }

    /// Plans a task over `sources`.
    ///
    /// # Errors
    /// [`Error::Usage`] for destinations or options that cannot be; names a file that cannot be read.
    pub(super) fn plan_task(
        &self,
        task: &mut dyn Task,
        sources: Vec<Source>,
        ledger: &Ledger,
    ) -> Result<PlannedTask> {
        let redirected = task.redirected_output();
        let planned: Vec<&'static str> = task
            .extensions()
            .into_iter()
            .filter(|extension| redirected.map(|(extension, _)| extension) != Some(*extension))
            .collect();
        let mut plan = OutputPlan::new(sources, self.options, &task.kind(), &planned)?;
        if let Some((extension, path)) = redirected {
            plan.redirect_output(extension, path, self.options.force)?;
        }
        protect_installed(&mut plan.outputs, &Store::open()?);
        ledger.protect(&mut plan.outputs);
        plan.outputs.protect(task.input_files());
        let fingerprint = self.model.fingerprint.as_deref().unwrap_or_default();
        let mut task_digests = self.task_digests(task, fingerprint)?;
        let most = self.context.decoder.options.max_memory;
        let mut may_mix_fits = false;
        if self.keep_fit
            && task.is_two_pass()
            && let Some(fit) = ledger.former_fit(&plan, &task_digests)?
        {
            task.adopt_fit(&ledger.fit_file(&task_digests, &fit)?)?;
            task_digests.fit = Some(fit);
            // Pictures with another fit were there before this run.
            may_mix_fits = ledger
                .describe_other_fit(&plan, &task_digests, self.console)?
                .is_some();
            self.console.note(format_args!(
                "{}: new photos get the fit of those that are there",
                task_digests.task
            ));
        }
        let mut former = FormerFits::default();
        let refused;
        let broken = ledger.skipped_failures(&plan, &task_digests, most)?;
        let of_broken = (&broken, most);
        if task.is_two_pass() {
            (refused, former) =
                ledger.reconcile_fitted(&mut plan, &task_digests, of_broken, self.console)?;
            if !former.is_current {
                let words = (self.options.force, self.console);
                may_mix_fits = ledger.check_one_fit(&plan, &task_digests, &former.fits, words)?;
            }
        } else {
            refused = ledger.reconcile(&mut plan, &task_digests, of_broken, self.console)?;
            let mut tried = plan.jobs.iter().zip(&broken);
            if tried.any(|(job, broken)| !job.is_done() && broken.is_none())
                && let Some(what) = ledger.describe_other_fit(&plan, &task_digests, self.console)?
            {
                self.console.note(what);
            }
        }
        task.prepare_plan(&mut plan, self.console)?;
        if let Some(document) = task.document()
            && document.is_kept
            && (task.is_two_pass() && !former.is_current
                || ledger.document_freshness(&document.path, (&plan, &task_digests), most)?
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
            task_digests,
            refused,
            failed_before: broken,
            former,
            may_mix_fits,
        })
    }
}

/// Which tasks each photo is for: a bit for each task, by photo.
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
                // Photos whose files cannot be replaced take part in the fit.
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
