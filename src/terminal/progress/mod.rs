//! Progress of work: a bar at a terminal, else a line every 30 seconds; both with the rate so far and the time left at
//! that rate. For several photos, lines are also printed at the start and the end.

mod rate;
mod unit;

use std::fmt::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::terminal::printable::printable;
use rate::RateEstimator;
pub(crate) use unit::ProgressUnit;

/// Time between two lines of progress where no bar is shown.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct SharedProgress {
    pace: Mutex<RateEstimator>,
    /// Name of the current item.
    message: Mutex<String>,
    is_ended: Mutex<bool>,
    end_signal: Condvar,
}

impl SharedProgress {
    fn pace(&self) -> MutexGuard<'_, RateEstimator> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One line of progress, for output without bars.
    fn line(&self, unit: &ProgressUnit) -> String {
        let message = self.message.lock().unwrap_or_else(PoisonError::into_inner);
        unit.line(&self.pace(), &message, Instant::now())
    }
}

/// Progress of running work; its bar is removed and its thread ends when this is dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    shared: Arc<SharedProgress>,
    reporter: Option<JoinHandle<()>>,
}

impl Progress {
    /// Progress that is counted and not shown.
    pub(crate) fn hidden() -> Self {
        Progress {
            bar: ProgressBar::hidden(),
            shared: shared(None),
            reporter: None,
        }
    }

    /// A bar among `bars`.
    pub(crate) fn bar(bars: &MultiProgress, unit: &ProgressUnit, total: Option<u64>) -> Self {
        let shared = shared(total);
        let (template, bar) = match (unit, total) {
            (ProgressUnit::Photos(_), total) => (
                "{prefix}{bar:30} {human_pos}/{human_len} images  {rate}  {left}  {wide_msg:.dim}"
                    .to_owned(),
                ProgressBar::new(total.unwrap_or(0)),
            ),
            (ProgressUnit::Items(name), Some(total)) => (
                format!(
                    "{{bar:30}} {{human_pos}}/{{human_len}} {name}  {{rate}}  {{left}}  {{wide_msg:.dim}}"
                ),
                ProgressBar::new(total),
            ),
            (ProgressUnit::Items(name), None) => (
                format!("{{bar:30}} {{human_pos}} {name}  {{left}}  {{wide_msg:.dim}}"),
                ProgressBar::new(100),
            ),
            (ProgressUnit::Bytes(_), Some(total)) => (
                "{prefix} {bar:30} {bytes}/{total_bytes}  {rate}  {left}".to_owned(),
                ProgressBar::new(total),
            ),
            (ProgressUnit::Bytes(_), None) => (
                "{prefix} {spinner} {bytes}  {rate}".to_owned(),
                ProgressBar::no_length(),
            ),
        };
        let style = ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let (of_rate, of_left, counted) = (shared.clone(), shared.clone(), unit.clone());
        let style = style
            .progress_chars("━╸─")
            .with_key(
                "rate",
                move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = out.write_str(&counted.rate(&of_rate.pace()));
                },
            )
            .with_key(
                "left",
                move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = out.write_str(&unit::left(&of_left.pace(), Instant::now()));
                },
            );
        let bar = bars.add(bar.with_style(style));
        match unit {
            ProgressUnit::Bytes(name) => bar.set_prefix(name.clone()),
            ProgressUnit::Photos(Some(work)) => bar.set_prefix(format!("{work} ")),
            ProgressUnit::Photos(None) | ProgressUnit::Items(_) => (),
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress {
            bar,
            shared,
            reporter: None,
        }
    }

    /// Progress as lines passed to `say`, one every `every`; for several photos, also one at the start and one at the
    /// end.
    pub(crate) fn lines(
        unit: ProgressUnit,
        total: Option<u64>,
        every: Duration,
        say: impl Fn(&str) + Send + 'static,
    ) -> Self {
        let shared = shared(total);
        if let Some(line) = unit.first_line(total) {
            say(&line);
        }
        let own = shared.clone();
        let beat = thread::Builder::new()
            .name("progress".into())
            .spawn(move || {
                let mut ended = own.is_ended.lock().unwrap_or_else(PoisonError::into_inner);
                loop {
                    let (guard, wait) = own
                        .end_signal
                        .wait_timeout_while(ended, every, |ended| !*ended)
                        .unwrap_or_else(PoisonError::into_inner);
                    ended = guard;
                    match wait.timed_out() {
                        true => say(&own.line(&unit)),
                        false => break,
                    }
                }
                let last = unit.last_line(&own.pace(), Instant::now());
                if let Some(line) = last {
                    say(&line);
                }
            });
        Progress {
            bar: ProgressBar::hidden(),
            shared,
            // If no thread can be started there are no more lines.
            reporter: beat.ok(),
        }
    }

    /// Adds `n` to the number done.
    pub fn inc(&self, n: u64) {
        let done = self.shared.pace().done + n;
        {
            let mut pace = self.shared.pace();
            // The rate counts from 0: nothing was done before.
            pace.initial.get_or_insert(0);
            pace.set(done, Instant::now());
        }
        self.bar.set_position(done);
    }

    /// Sets the number done, earlier runs included, to `n`.
    pub fn set(&self, n: u64) {
        self.shared.pace().set(n, Instant::now());
        self.bar.set_position(n);
    }

    /// Sets the total once it is known.
    pub fn set_total(&self, total: u64) {
        self.shared.pace().total = Some(total);
        self.bar.set_length(total);
    }

    /// Sets the name of the current item, escaped for the terminal.
    pub fn message(&self, message: impl Into<String>) {
        let message = printable(&message.into()).into_owned();
        *self
            .shared
            .message
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = message.clone();
        self.bar.set_message(message);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        *self
            .shared
            .is_ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.end_signal.notify_all();
        if let Some(beat) = self.reporter.take() {
            let _ = beat.join();
        }
    }
}

fn shared(total: Option<u64>) -> Arc<SharedProgress> {
    Arc::new(SharedProgress {
        pace: Mutex::new(RateEstimator::new(total, Instant::now())),
        message: Mutex::default(),
        is_ended: Mutex::new(false),
        end_signal: Condvar::new(),
    })
}

/// Progress over photos: the number done, and the percentage of the network computed for the current one.
#[derive(Debug)]
pub struct PhotoProgress {
    progress: Progress,
    /// Whether there is only one photo, so that percentages of the network are counted instead of photos.
    is_single: bool,
    name: Mutex<String>,
}

impl PhotoProgress {
    pub(crate) fn new(progress: Progress, is_single: bool) -> Self {
        PhotoProgress {
            progress,
            is_single,
            name: Mutex::new(String::new()),
        }
    }

    /// Sets the name of the current photo.
    pub fn begin(&self, name: String) {
        self.progress.message(name.clone());
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }

    /// Reports that `done` of `all` steps of the network are computed for the current photo. For a single photo `all`
    /// must be 100, since the bar's unit is percent.
    pub fn set_network_progress(&self, done: usize, all: usize) {
        match self.is_single {
            true => {
                self.progress.set_total(all as u64);
                self.progress.shared.pace().initial.get_or_insert(0);
                self.progress.set(done as u64);
            }
            false => {
                let mut text = self
                    .name
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                let _ = write!(text, ", {} %", 100 * done / all.max(1));
                self.progress.message(text);
            }
        }
    }

    /// Counts one more photo; without effect if there is only one.
    pub fn inc(&self) {
        if !self.is_single {
            self.progress.inc(1);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The lines printed for work on seven photos, with a line every `every`.
    fn told(every: Duration, work: impl FnOnce(&Progress, &Mutex<Vec<String>>)) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let own = lines.clone();
        let say = move |line: &str| own.lock().unwrap().push(line.to_owned());
        let progress = Progress::lines(ProgressUnit::Photos(None), Some(7), every, say);
        work(&progress, &lines);
        drop(progress);
        let told = lines.lock().unwrap().clone();
        thread::sleep(Duration::from_millis(30));
        assert_eq!(*lines.lock().unwrap(), told, "none behind the end");
        told
    }

    #[test]
    fn who_sees_no_bar_gets_lines() {
        let lines = told(Duration::from_millis(10), |progress, lines| {
            progress.message("a.jpg");
            progress.inc(1);
            let start = Instant::now();
            while lines.lock().unwrap().len() < 2 {
                assert!(start.elapsed() < Duration::from_secs(10));
                thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(lines[0], "7 images to do");
        assert!(lines[1].starts_with("a.jpg, 1 of 7 images"), "{lines:?}");
        let last = lines.last().unwrap();
        assert!(
            last.starts_with("stopped at 1 of 7 images after "),
            "{last}"
        );
    }

    #[test]
    fn the_end_is_told_however_short_the_work() {
        let lines = told(REPORT_INTERVAL, |progress, _| {
            (0..7).for_each(|_| progress.inc(1))
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].starts_with("7 of 7 images in "), "{lines:?}");
    }
}
