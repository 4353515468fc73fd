//! The manners of a run over many inputs: one bad input never stops the others, Ctrl-C stops between two, and at the
//! end every failure is named and skipped work is counted.

use serde_json::json;

use crate::error::{Error, Result};
use crate::io::inputs::{InputFailure, PLURAL_KINDS, SearchSummary, SkipSeverity};
use crate::system::interrupt;
use crate::terminal::console::Console;

/// How one input ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its outputs were written.
    Done,
    /// Its outputs were there already.
    Skipped,
}

/// How all inputs of a run ended.
#[derive(Debug, Default)]
pub struct RunReport {
    /// Inputs whose outputs were written.
    pub done: usize,
    /// Inputs whose outputs were there already.
    pub skipped: usize,
    /// Inputs that failed, by name, in the order in which they did.
    pub failed: Vec<(String, Error)>,
    /// How many more failed, and were named then.
    pub reported_failures: usize,
    /// What is wrong with the run as a whole.
    pub faults: Vec<Error>,
    /// What a search through folders came across.
    pub summary: Option<SearchSummary>,
    /// Whether the summary is an object on stdout, behind those of the photos.
    pub json: bool,
}

impl RunReport {
    /// Starts with what failed before the run, such as unreadable folders.
    pub fn new(failed: Vec<(String, Error)>) -> Self {
        RunReport {
            failed,
            ..RunReport::default()
        }
    }

    /// Starts with what a search for inputs found: their failures and its summary.
    pub fn from_search(
        failures: Vec<InputFailure>,
        summary: Option<SearchSummary>,
        json: bool,
    ) -> Self {
        let failed = failures.into_iter();
        RunReport {
            failed: failed
                .map(|failure| (failure.path.display().to_string(), failure.error))
                .collect(),
            summary,
            json,
            ..RunReport::default()
        }
    }

    /// Works through `items` with a progress bar, and returns the results of those that succeeded.
    ///
    /// `name` says what an item is called. Failures are recorded and the rest goes on.
    ///
    /// # Errors
    /// Only what concerns the whole run: [`Error::Interrupted`] and [`Error::Usage`].
    pub fn run_each<T, U>(
        &mut self,
        console: &Console,
        items: impl ExactSizeIterator<Item = T>,
        name: impl Fn(&T) -> String,
        mut work: impl FnMut(T) -> Result<U>,
    ) -> Result<Vec<U>> {
        let progress = console.progress(items.len() as u64, "images");
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            interrupt::check()?;
            let name = name(&item);
            progress.message(name.clone());
            let result = work(item);
            results.extend(self.record(name, result)?);
            progress.inc(1);
        }
        Ok(results)
    }

    /// Takes down the failure of the input `name`, or gives its result back.
    ///
    /// # Errors
    /// Only what concerns the whole run: [`Error::Interrupted`] and [`Error::Usage`].
    pub fn record<T>(&mut self, name: String, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(result) => Ok(Some(result)),
            Err(fatal @ (Error::Interrupted | Error::Usage(_))) => Err(fatal),
            Err(error) => {
                self.failed.push((name, error));
                Ok(None)
            }
        }
    }

    /// Hands `result` on; of a run that was interrupted, tells first what failed before it was.
    ///
    /// # Errors
    /// That of `result`.
    pub fn report_interrupted<T>(&self, console: &Console, result: Result<T>) -> Result<T> {
        if matches!(result, Err(Error::Interrupted)) {
            self.print_summary(console);
        }
        result
    }

    /// Counts how an input ended.
    pub fn record_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done => self.done += 1,
            Outcome::Skipped => self.skipped += 1,
        }
    }

    /// 0 if nothing failed, else 1.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.failed_count() > 0 || !self.faults.is_empty())
    }

    /// Takes up how some more inputs ended, and names those that failed, which are not named again at the end.
    pub fn merge(&mut self, other: RunReport, console: &Console) {
        other.print_failures(console);
        self.done += other.done;
        self.skipped += other.skipped;
        self.reported_failures += other.failed.len() + other.reported_failures;
        self.faults.extend(other.faults);
        if let Some(summary) = other.summary {
            self.summary.get_or_insert_default().add(summary);
        }
    }

    /// Inputs that failed.
    fn failed_count(&self) -> usize {
        self.failed.len() + self.reported_failures
    }

    fn print_failures(&self, console: &Console) {
        for (name, error) in &self.failed {
            let text = error.to_string();
            match text.contains(name.as_str()) {
                true => console.error(text),
                false => console.error(format_args!("{name}: {text}")),
            }
        }
    }

    /// Says what was skipped, counts warnings and names everything that failed.
    pub fn print_summary(&self, console: &Console) {
        if let Some(summary) = &self.summary {
            self.print_search_summary(summary, console);
        }
        console.warnings().finish();
        if self.skipped > 0 {
            console.note(format_args!(
                "{} already there, skipped; --force replaces them",
                self.skipped
            ));
        }
        self.print_failures(console);
        self.faults.iter().for_each(|fault| console.error(fault));
        let failed = self.failed_count();
        let total = self.done + self.skipped + failed;
        if failed > 0 && total > 1 {
            console.error(format_args!("{failed} of {total} inputs failed"));
        }
    }
}

impl RunReport {
    /// Tells what a search found, and how it ended.
    fn print_search_summary(&self, summary: &SearchSummary, console: &Console) {
        for (kind, of_kind) in &summary.skipped {
            if of_kind.severity == SkipSeverity::MaybeWanted {
                let what = PLURAL_KINDS.iter().find(|plural| *plural == kind);
                let plural = if of_kind.files == 1 { "" } else { "s" };
                let files = match what {
                    Some(what) => format!("passed over {} {what}", of_kind.files),
                    None => format!("{} {kind} file{plural} passed over", of_kind.files),
                };
                console.warnings().add(
                    what.unwrap_or(&"video clips"),
                    &of_kind.first.display().to_string(),
                    format_args!("{} ({files})", of_kind.reason),
                );
            }
        }
        console.note(summary);
        if self.json {
            let mut object = summary.to_json();
            object["done"] = self.done.into();
            object["already_there"] = self.skipped.into();
            object["failed"] = self.failed_count().into();
            object["warnings"] = json!(console.warnings().counts());
            // Whoever reads stdout no more has seen enough.
            let _ = console.out(&json!({"summary": object}).to_string());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn run(items: &[i32], work: impl FnMut(i32) -> Result<i32>) -> (Result<Vec<i32>>, RunReport) {
        let mut report = RunReport::default();
        let console = Console::new(true, false);
        let results = report.run_each(&console, items.iter().copied(), ToString::to_string, work);
        (results, report)
    }

    #[test]
    fn one_failure_does_not_stop_the_others() {
        let (results, report) = run(&[1, 2, 3], |i| match i {
            2 => Err(Error::file("2", "is odd")),
            i => Ok(10 * i),
        });
        assert_eq!(results.unwrap(), [10, 30]);
        assert_eq!(report.failed.len(), 1);
        assert_eq!(report.failed[0].0, "2");
        assert_eq!(report.exit_code(), 1);
    }

    #[test]
    fn an_interruption_stops_at_once() {
        let mut ran = 0;
        let (results, _) = run(&[1, 2, 3], |_| {
            ran += 1;
            Err(Error::Interrupted)
        });
        assert!(matches!(results, Err(Error::Interrupted)));
        assert_eq!(ran, 1);
    }

    #[test]
    fn nothing_failed_means_zero() {
        let (_, mut report) = run(&[1], Ok);
        report.record_outcome(Outcome::Done);
        report.record_outcome(Outcome::Skipped);
        assert_eq!((report.done, report.skipped, report.exit_code()), (1, 1, 0));
    }
}
