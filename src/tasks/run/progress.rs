//! How the photos of a run stand, and what is said of those without results.

use std::sync::{Mutex, PoisonError};

use super::plan::PlannedTask;
use crate::engine::run_report::{Outcome, RunReport};
use crate::error::{Error, Result};
use crate::io::inputs::Source;
use crate::io::manifest::{Ledger, TaskDigests};
use crate::io::output::{JsonLines, OutputPlan};
use crate::system::files::{Digest, FileStamp};
use crate::terminal::console::Console;

/// How the photos of a run stand.
pub(super) struct RunProgress {
    /// By photo.
    pub outcomes: Vec<Option<Outcome>>,
    pub failed: Vec<bool>,
    /// By photo, for which tasks something stands in its way, a bit a task.
    pub refused_tasks: Vec<u64>,
    /// By photo, of the bytes that were seen, where they are wanted after the photo is finished.
    pub digests: Vec<Option<Digest>>,
    pub report: RunReport,
    /// By task.
    pub lines: Vec<JsonLines>,
    /// Whether it was told that failures cannot be noted.
    pub is_record_lost: bool,
}

impl RunProgress {
    /// Takes down what is there already, what stands in the way, and what failed before.
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

    /// Notes in the folder's record why nothing was made of a photo; of its bytes the stamp is.
    pub(super) fn note_failure(
        &mut self,
        (source, stamp): (&Source, Option<&FileStamp>),
        (making, ledger): (&TaskDigests, &Ledger),
        error: &Error,
    ) {
        let noted = ledger.note_failure(source, making, stamp, error);
        // Once is enough, and the photo's own failure is told anyway.
        if let Err(error) = noted
            && !std::mem::replace(&mut self.is_record_lost, true)
        {
            self.report.faults.push(error);
        }
    }

    /// Takes down why nothing was made of a photo for a task.
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

    /// Says what is to be said of a task before the line of a photo.
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

    pub(super) fn record_outcome(&mut self, photo: usize, outcome: Outcome) {
        let known = &mut self.outcomes[photo];
        // What was made for one task is made, whatever was there for another.
        if *known != Some(Outcome::Done) {
            *known = Some(outcome);
        }
    }

    pub(super) fn record_failure(
        &mut self,
        photo: usize,
        name: String,
        error: Error,
    ) -> Result<()> {
        self.failed[photo] = true;
        self.report.record::<()>(name, Err(error)).map(|_| ())
    }

    /// Tells how the run ended, or has that told with the `total` of all runs; returns the exit code.
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
