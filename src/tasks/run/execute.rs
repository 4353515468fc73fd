//! A run from its inputs to its exit code: plan, load, compute, pack, report.

use super::checks::check_one_pass;
use super::plan::{PlannedTask, wanted_tasks};
use super::progress::RunProgress;
use super::task_run::TaskRun;
use crate::engine::run_report::RunReport;
use crate::error::{Error, Result};
use crate::io::inputs::CollectedInputs;
use crate::io::manifest::Ledger;
use crate::io::output::{JsonLines, LineSubject, OutputTarget, print_input_errors};
use crate::model::backbone::Backbone;
use crate::model::weights::ModelRecord;
use crate::tasks::Task;
use crate::terminal::console::TAR_FLAG;

impl TaskRun<'_> {
    /// Runs `tasks` over the photos that were `collected`. `load` loads the backbones, one on each device, and is
    /// called only if a photo is to be computed. Returns the exit code.
    ///
    /// # Errors
    /// What concerns the whole run: [`Error::Usage`], an output that cannot be written, a model that cannot be loaded,
    /// [`Error::Interrupted`].
    pub fn run(
        &self,
        tasks: &mut [Box<dyn Task>],
        collected: CollectedInputs,
        load: impl FnOnce() -> Result<(Vec<Backbone>, ModelRecord)>,
    ) -> Result<u8> {
        let ledger = self.ledger(tasks)?;
        let mut loaded = None;
        let slot = &mut loaded;
        self.run_loaded(tasks, collected, &ledger, move || Ok(slot.insert(load()?)))
    }

    /// The record of the output folder: that of a task which holds one for the same folder, else read from it.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn ledger(&self, tasks: &[Box<dyn Task>]) -> Result<Ledger> {
        let OutputTarget::Folder(folder) = &self.options.target else {
            return Ledger::open(self.options);
        };
        let known = tasks
            .iter()
            .find_map(|task| task.ledger()?.for_folder(folder));
        known.map_or_else(|| Ledger::open(self.options), Ok)
    }

    /// As [`TaskRun::run`], with a record that was read before, and backbones that several runs share.
    ///
    /// # Errors
    /// As [`TaskRun::run`]; [`Error::Usage`] for a two-pass task over photos that arrive over time.
    pub fn run_loaded<'m>(
        &self,
        tasks: &mut [Box<dyn Task>],
        collected: CollectedInputs,
        ledger: &Ledger,
        load: impl FnOnce() -> Result<&'m mut (Vec<Backbone>, ModelRecord)>,
    ) -> Result<u8> {
        let CollectedInputs {
            sources,
            failures,
            summary,
            ..
        } = collected;
        self.check_keep_fit(tasks)?;
        if let Some(stored) = self.stored {
            let photos = self.context.decoder.options.tag();
            tasks
                .iter()
                .try_for_each(|task| stored.check_task(&task.kind(), task.as_ref(), &photos))?;
        }
        let (sources, packs, packed) = match self.packs_tars {
            true => self.plan_packs(tasks, sources, ledger)?,
            false => (sources, Vec::new(), 0),
        };
        if self.keep_fit && ledger.is_unrecorded() {
            return Err(Error::Usage(
                "--keep-fit takes the fit from the folder's record, which --no-manifest does not read; leave one of them out"
                    .into(),
            ));
        }
        let mut planned = Vec::new();
        let count = sources.len();
        let mut sources = Some(sources);
        let last = tasks.len().saturating_sub(1);
        for (index, task) in tasks.iter_mut().enumerate() {
            let own = match index == last {
                true => sources.take(),
                false => sources.clone(),
            };
            planned.push(self.plan_task(task.as_mut(), own.unwrap_or_default(), ledger)?);
        }
        self.check_shard(tasks)?;
        if self.total_report.is_some() {
            tasks
                .iter()
                .try_for_each(|task| check_one_pass(task.as_ref()))?;
        } else if let Err(error) = self.check_pixels(tasks, planned.first()) {
            if self.context.json {
                let subjects: Vec<LineSubject> = tasks.iter().map(|task| task.subject()).collect();
                print_input_errors(&subjects, &error, self.console)?;
            }
            return Err(error);
        }
        if self.context.json {
            self.console.claim_stdout("--json")?;
        } else if self.packs_tars {
            self.console.claim_stdout(TAR_FLAG)?;
        }
        planned
            .iter_mut()
            .try_for_each(|planned| planned.plan.finalise(self.console))?;
        let wanted = wanted_tasks(tasks, &planned);
        let lines = tasks
            .iter()
            .map(|task| JsonLines::new(task.subject(), self.context.json, &failures));
        let mut progress = RunProgress {
            outcomes: vec![None; count],
            failed: vec![false; count],
            refused_tasks: vec![0; count],
            digests: vec![None; count],
            lines: lines.collect(),
            report: RunReport::default(),
            is_record_lost: false,
        };
        for (lost, planned) in failures
            .iter()
            .flat_map(|lost| planned.iter().map(move |planned| (lost, planned)))
        {
            ledger.note_missing_input(lost, &planned.task_digests)?;
        }
        progress.report = RunReport::from_search(failures, summary, self.context.json);
        progress.report.skipped = packed;
        progress.begin(&mut planned, &wanted, ledger)?;
        let has_work = wanted.iter().any(|wanted| *wanted != 0);
        if has_work {
            let (backbones, record) = load()?;
            for (task, planned) in tasks.iter_mut().zip(&mut planned) {
                task.attach_backbones(backbones, record, self.console)?;
                // The fingerprint of a backbone that was fetched just now is known only here.
                let task_digests = self.task_digests(task.as_ref(), &record.fingerprint)?;
                planned.task_digests.complete_from(task_digests);
            }
            let run = self.compute(
                tasks,
                &mut planned,
                ledger,
                &wanted,
                backbones,
                &mut progress,
            );
            let mut flushed = tasks.iter();
            let flushed = flushed.try_for_each(|task| task.flush(self.console));
            if matches!(run, Err(Error::Interrupted)) {
                progress.finish(self.total_report, self.console);
            }
            run.and(flushed)?;
        }
        for (task, planned) in planned.iter().enumerate() {
            progress.print_lines_before(task, usize::MAX, &planned.plan, self.console)?;
        }
        self.write_tars(&packs, &planned, ledger, &mut progress)?;
        ledger.flush_failures(count)?;
        let code = progress.finish(self.total_report, self.console);
        if has_work {
            for (
                task,
                PlannedTask {
                    plan, task_digests, ..
                },
            ) in tasks.iter().zip(&planned)
            {
                let conclude = || task.write_document(self.console);
                match task.document().filter(|document| !document.is_kept) {
                    Some(document) => {
                        let max_bytes = self.context.decoder.options.max_memory;
                        let digest_of = |photo: usize| progress.digests[photo];
                        let planned_task = (plan, task_digests);
                        ledger.note_document(
                            &document.path,
                            planned_task,
                            (digest_of, max_bytes),
                            conclude,
                        )?;
                    }
                    None => conclude()?,
                }
            }
        }
        Ok(code)
    }
}
