//! How the photos of a run stand, and what is said of those without results.

use std::sync::{Mutex, PoisonError};

use crate::batch::{Outcome, Report};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::manifest::Digest;
use crate::output::{Lines, Plan};

use super::plan::Planned;

/// How the photos of a run stand.
pub(super) struct Progress {
    /// By photo.
    pub outcomes: Vec<Option<Outcome>>,
    pub failed: Vec<bool>,
    /// By photo, for which tasks something stands in its way, a bit a task.
    pub refused: Vec<u64>,
    /// By photo, of the bytes that were seen, where they are wanted after the photo is finished.
    pub seen: Vec<Option<Digest>>,
    pub report: Report,
    /// By task.
    pub lines: Vec<Lines>,
}

impl Progress {
    /// Takes down what is there already, and what stands in the way.
    pub(super) fn begin(&mut self, planned: &mut [Planned], wanted: &[u64]) -> Result<()> {
        for (photo, wanted) in wanted.iter().enumerate() {
            let mut is_refused = false;
            for (task, planned) in planned.iter_mut().enumerate() {
                let refusal = planned.refused.get_mut(photo).and_then(Option::take);
                is_refused |= refusal.is_some();
                if let Some(error) = refusal {
                    let name = planned.plan.jobs[photo].source.name();
                    self.refused[photo] |= 1 << task;
                    self.lines[task].fail(photo, error.to_string());
                    self.fail(photo, name, error)?;
                } else if wanted & (1 << task) == 0 {
                    self.lines[task].skip(photo);
                }
            }
            if *wanted == 0 && !is_refused {
                self.outcomes[photo] = Some(Outcome::Skipped);
            }
        }
        Ok(())
    }

    /// Says what is to be said of a task before the line of a photo.
    pub(super) fn tell_before(
        &mut self,
        task: usize,
        photo: usize,
        plan: &Plan,
        console: &Console,
    ) -> Result<()> {
        let describe = |photo: usize| {
            let job = &plan.jobs[photo];
            (&job.source, Some(job))
        };
        self.lines[task].tell_before(photo, describe, console)
    }

    pub(super) fn note(&mut self, photo: usize, outcome: Outcome) {
        let known = &mut self.outcomes[photo];
        // What was made for one task is made, whatever was there for another.
        if *known != Some(Outcome::Done) {
            *known = Some(outcome);
        }
    }

    pub(super) fn fail(&mut self, photo: usize, name: String, error: Error) -> Result<()> {
        self.failed[photo] = true;
        self.report.record::<()>(name, Err(error)).map(|_| ())
    }

    /// Tells how the run ended, or has that told with the `total` of all runs; returns the exit code.
    pub(super) fn finish(&mut self, total: Option<&Mutex<Report>>, console: &Console) -> u8 {
        let ended = self.outcomes.iter().zip(&self.failed);
        for outcome in ended.filter_map(|(outcome, failed)| outcome.filter(|_| !failed)) {
            self.report.count(outcome);
        }
        let code = self.report.exit_code();
        match total {
            Some(total) => {
                let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                total.take_up(std::mem::take(&mut self.report), console);
            }
            None => self.report.finish(console),
        }
        code
    }
}
