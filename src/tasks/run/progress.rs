//! [`RunProgress`]: the outcome of each photo of a run, and the JSON lines and records of photos without results.

use std::sync::{Mutex, PoisonError};

use super::plan::PlannedTask;
use crate::engine::run_report::{Outcome, RunReport};
use crate::error::{Error, Result};
use crate::io::inputs::Source;
use crate::io::manifest::{Ledger, TaskDigests};
use crate::io::output::{JsonLines, OutputPlan};
use crate::system::files::{Digest, FileStamp};
use crate::terminal::console::Console;

/// The outcomes of the photos of a run so far.
pub(super) struct RunProgress {
    /// By photo, once it is finished for a task.
    pub outcomes: Vec<Option<Outcome>>,
    /// By photo, whether any task failed.
    pub failed: Vec<bool>,
    /// By photo, the tasks whose files it must not replace, as bits.
    pub refused_tasks: Vec<u64>,
    /// By photo, the digest of the bytes that it was decoded from.
    pub digests: Vec<Option<Digest>>,
    /// The report at the end of the run.
    pub report: RunReport,
    /// By task, the JSON lines of photos without results.
    pub lines: Vec<JsonLines>,
    /// Whether a failure to write the folder's record was reported already.
    pub is_record_lost: bool,
}

impl RunProgress {
    /// Records photos that are skipped, refused, or failed before.
    ///
    /// # Errors
    /// If a failure ends the run.
    pub(super) fn begin(
        &mut self,
        planned: &mut [PlannedTask],
        wanted: &[u64],
        ledger: &Ledger,
    ) -> Result<()> {
        for (photo, wanted) in wanted.iter().enumerate() {
            let mut is_refused = false;
            for (task, planned) in planned.iter_mut().enumerate() {
                let refusal = planned.refused.get_mut(photo).and_then(Option::take);
                let broken = planned.failed_before.get_mut(photo).and_then(Option::take);
                is_refused |= refusal.is_some() || broken.is_some();
                let source = &planned.plan.jobs[photo].source;
                if let Some(error) = refusal {
                    self.refused_tasks[photo] |= 1 << task;
                    self.note_failure((source, None), (&planned.task_digests, ledger), &error);
                    self.record_task_failure(task, photo, source.name(), error)?;
                } else if let Some(error) = broken {
                    self.record_task_failure(task, photo, source.name(), error)?;
                } else if wanted & (1 << task) == 0 {
                    self.lines[task].record_skipped(photo);
                }
            }
            if *wanted == 0 && !is_refused {
                self.outcomes[photo] = Some(Outcome::Skipped);
            }
        }
        Ok(())
    }

    /// Notes in the folder's record why a photo, whose bytes have this stamp, has no results.
    pub(super) fn note_failure(
        &mut self,
        (source, stamp): (&Source, Option<&FileStamp>),
        (task_digests, ledger): (&TaskDigests, &Ledger),
        error: &Error,
    ) {
        let noted = ledger.record_failure(source, task_digests, stamp, error);
        // Reported once; the photo's own failure is reported in any case.
        if let Err(error) = noted
            && !std::mem::replace(&mut self.is_record_lost, true)
        {
            self.report.faults.push(error);
        }
    }

    /// Records why a photo has no results of a task.
    pub(super) fn record_task_failure(
        &mut self,
        task: usize,
        photo: usize,
        name: String,
        error: Error,
    ) -> Result<()> {
        self.lines[task].record_failed(photo, error.to_string());
        self.record_failure(photo, name, error)
    }

    /// Prints the JSON lines of earlier photos without results, before the line of this one.
    pub(super) fn print_lines_before(
        &mut self,
        task: usize,
        photo: usize,
        plan: &OutputPlan,
        console: &Console,
    ) -> Result<()> {
        let describe = |photo: usize| {
            let job = &plan.jobs[photo];
            (&job.source, Some(job))
        };
        self.lines[task].print_before(photo, describe, console)
    }

    /// Records the outcome of a photo for one task.
    pub(super) fn record_outcome(&mut self, photo: usize, outcome: Outcome) {
        let known = &mut self.outcomes[photo];
        // A photo with new results of one task is done, even if another task skipped it.
        if *known != Some(Outcome::Done) {
            *known = Some(outcome);
        }
    }

    /// Records the failure of a photo in the run's report.
    pub(super) fn record_failure(
        &mut self,
        photo: usize,
        name: String,
        error: Error,
    ) -> Result<()> {
        self.failed[photo] = true;
        self.report.record::<()>(name, Err(error)).map(|_| ())
    }

    /// Prints the summary of the run, or adds it to the `total` of all runs; returns the exit code.
    pub(super) fn finish(&mut self, total: Option<&Mutex<RunReport>>, console: &Console) -> u8 {
        let ended = self.outcomes.iter().zip(&self.failed);
        for outcome in ended.filter_map(|(outcome, failed)| outcome.filter(|_| !failed)) {
            self.report.record_outcome(outcome);
        }
        let code = self.report.exit_code();
        match total {
            Some(total) => {
                let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                total.merge(std::mem::take(&mut self.report), console);
            }
            None => self.report.print_summary(console),
        }
        code
    }
}
