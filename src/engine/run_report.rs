//! [`RunReport`]: the outcomes of a run over many inputs, its summary and its exit code. A failed input does not stop
//! the others; Ctrl-C stops between two inputs.

use serde_json::json;

use crate::error::{Error, Result};
use crate::io::inputs::{InputFailure, PLURAL_KINDS, SearchSummary, SkipSeverity};
use crate::system::interrupt;
use crate::terminal::console::Console;

/// How an input that did not fail ended.
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
    /// Further failures, which were printed when they were merged.
    pub reported_failures: usize,
    /// Errors of the run as a whole, which belong to no input.
    pub faults: Vec<Error>,
    /// Counts of files found and skipped by a search through folders, if there was one.
    pub summary: Option<SearchSummary>,
    /// Whether the summary is also printed to stdout as a JSON object, after those of the photos.
    pub json: bool,
}

impl RunReport {
    /// A report with the failures from before the run, such as unreadable folders: (input name, error).
    pub fn new(failed: Vec<(String, Error)>) -> Self {
        RunReport {
            failed,
            ..RunReport::default()
        }
    }

    /// A report with the failures and the summary of a search for inputs.
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

    /// Calls `work` on `items` one after the other, with a progress bar, and returns the results of those that
    /// succeeded.
    ///
    /// `name` gives the name of an item for messages. Failures are recorded, and the next item follows.
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

    /// Returns the result of the input `name`, or records its failure and returns none.
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

    /// Returns `result`; if it is [`Error::Interrupted`], prints the summary first.
    ///
    /// # Errors
    /// That of `result`.
    pub fn report_interrupted<T>(&self, console: &Console, result: Result<T>) -> Result<T> {
        if matches!(result, Err(Error::Interrupted)) {
            self.print_summary(console);
        }
        result
    }

    /// Counts an input that did not fail.
    pub fn record_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done => self.done += 1,
            Outcome::Skipped => self.skipped += 1,
        }
    }

    /// Exit code of the program: 0 if nothing failed, else 1.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.failed_count() > 0 || !self.faults.is_empty())
    }

    /// Adds the report of further inputs, and prints their failures now rather than at the end.
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

    /// Prints the search summary, the number of skipped inputs, warnings, and every failure.
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
    /// Prints what a search found and skipped, as text and, if asked for, as JSON.
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
            // A reader that closed stdout is no failure.
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
