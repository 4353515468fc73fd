//! How far work is: a bar at a terminal, else a line every half a minute; both with the pace so far and the time that is
//! left at it.

use std::fmt::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::printable::printable;

/// How often work that nobody sees a bar of is told about.
pub(crate) const BEAT: Duration = Duration::from_secs(30);

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things of this name.
    Things(String),
    /// Bytes of what this names.
    Bytes(String),
}

/// How far work is and how fast, from when it was first told.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// What was done before.
    from: Option<u64>,
    done: u64,
    total: Option<u64>,
    start: Instant,
    /// When `done` last grew.
    last: Instant,
}

impl Pace {
    fn new(total: Option<u64>, now: Instant) -> Self {
        Pace {
            from: None,
            done: 0,
            total,
            start: now,
            last: now,
        }
    }

    fn set(&mut self, done: u64, now: Instant) {
        if self.from.is_none() {
            (self.from, self.start) = (Some(done), now);
        }
        if done != self.done {
            (self.done, self.last) = (done, now);
        }
    }

    /// Per second, up to when the last thing was done.
    fn rate(&self) -> Option<f64> {
        let done = self.done.checked_sub(self.from.unwrap_or(0))?;
        let seconds = (self.last - self.start).as_secs_f64();
        (done > 0 && seconds > 0.0).then(|| done as f64 / seconds)
    }

    /// What is left to wait: it was reckoned when the last thing was done, and only falls until the next one is.
    fn left(&self, now: Instant) -> Option<Duration> {
        let todo = self.total?.checked_sub(self.done)?;
        let left = todo as f64 / self.rate()? - (now - self.last).as_secs_f64();
        Duration::try_from_secs_f64(left.max(0.0)).ok()
    }
}

/// `3.1`, `0.42`, `1325`: as many digits as mean something.
fn readable(rate: f64) -> String {
    let decimals = match rate {
        100.0.. => 0,
        1.0..100.0 => 1,
        _ => 2,
    };
    format!("{rate:.decimals$}")
}

/// `42 s`, `3 min 05 s`, `2 h 10 min`.
fn readable_time(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Megabytes, finer where there are few.
fn megabytes(bytes: f64) -> String {
    readable(bytes / 1e6)
}

#[derive(Debug)]
struct Shared {
    pace: Mutex<Pace>,
    /// What is being worked on.
    message: Mutex<String>,
    ended: Mutex<bool>,
    end: Condvar,
}

impl Shared {
    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rate_text(&self, unit: &Unit) -> String {
        match (self.pace().rate(), unit) {
            (None, _) => String::new(),
            // Percents are no things.
            (Some(_), Unit::Things(name)) if name.starts_with("percent") => String::new(),
            (Some(rate), Unit::Things(_)) => format!("{}/s", readable(rate)),
            (Some(rate), Unit::Bytes(_)) => format!("{} MB/s", megabytes(rate)),
        }
    }

    fn left_text(&self) -> String {
        let left = self.pace().left(Instant::now());
        left.map_or(String::new(), |left| {
            format!("about {} left", readable_time(left))
        })
    }

    /// One line for those who see no bar.
    fn line(&self, unit: &Unit) -> String {
        let Pace { done, total, .. } = *self.pace();
        let message = self.message.lock().unwrap_or_else(PoisonError::into_inner);
        if (done, total) == (0, None) {
            return match message.is_empty() {
                true => "nothing is done yet".to_owned(),
                false => format!("{message}: on its way to the network"),
            };
        }
        let so_far = match (unit, total) {
            (Unit::Things(name), Some(_)) if name.starts_with("percent") => {
                format!("{done} {name}")
            }
            (Unit::Things(name), Some(total)) => format!("{done} of {total} {name}"),
            (Unit::Things(name), None) => format!("{done} {name}"),
            (Unit::Bytes(name), Some(total)) => {
                let (done, total) = (megabytes(done as f64), megabytes(total as f64));
                format!("{name}: {done} of {total} MB")
            }
            (Unit::Bytes(name), None) => format!("{name}: {} MB", megabytes(done as f64)),
        };
        let parts = [
            message.clone(),
            so_far,
            self.rate_text(unit),
            self.left_text(),
        ];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(", ")
    }
}

/// Work under way; what shows it goes away when this is dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    shared: Arc<Shared>,
    beat: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shown to nobody.
    pub(crate) fn hidden() -> Self {
        Progress {
            bar: ProgressBar::hidden(),
            shared: shared(None),
            beat: None,
        }
    }

    /// A bar among `bars`.
    pub(crate) fn bar(bars: &MultiProgress, unit: &Unit, total: Option<u64>) -> Self {
        let shared = shared(total);
        let (template, bar) = match (unit, total) {
            (Unit::Things(name), Some(total)) => (
                format!(
                    "{{bar:30}} {{human_pos}}/{{human_len}} {name}  {{rate}}  {{left}}  {{wide_msg:.dim}}"
                ),
                ProgressBar::new(total),
            ),
            (Unit::Things(name), None) => (
                format!("{{bar:30}} {{human_pos}} {name}  {{left}}  {{wide_msg:.dim}}"),
                ProgressBar::new(100),
            ),
            (Unit::Bytes(_), Some(total)) => (
                "{prefix} {bar:30} {bytes}/{total_bytes}  {rate}  {left}".to_owned(),
                ProgressBar::new(total),
            ),
            (Unit::Bytes(_), None) => (
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
                    let _ = out.write_str(&of_rate.rate_text(&counted));
                },
            )
            .with_key(
                "left",
                move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = out.write_str(&of_left.left_text());
                },
            );
        let bar = bars.add(bar.with_style(style));
        if let Unit::Bytes(name) = unit {
            bar.set_prefix(name.clone());
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress {
            bar,
            shared,
            beat: None,
        }
    }

    /// A line through `say` after every `every`.
    pub(crate) fn lines(
        unit: Unit,
        total: Option<u64>,
        every: Duration,
        say: impl Fn(&str) + Send + 'static,
    ) -> Self {
        let shared = shared(total);
        let own = shared.clone();
        let beat = thread::Builder::new()
            .name("progress".into())
            .spawn(move || {
                let mut ended = own.ended.lock().unwrap_or_else(PoisonError::into_inner);
                loop {
                    let (guard, wait) = own
                        .end
                        .wait_timeout_while(ended, every, |ended| !*ended)
                        .unwrap_or_else(PoisonError::into_inner);
                    ended = guard;
                    match wait.timed_out() {
                        true => say(&own.line(&unit)),
                        false => return,
                    }
                }
            });
        Progress {
            bar: ProgressBar::hidden(),
            shared,
            // Without a thread to spare there are no lines.
            beat: beat.ok(),
        }
    }

    /// `n` more are done.
    pub fn inc(&self, n: u64) {
        let done = self.shared.pace().done + n;
        {
            let mut pace = self.shared.pace();
            // The first ones count: nothing was done before.
            pace.from.get_or_insert(0);
            pace.set(done, Instant::now());
        }
        self.bar.set_position(done);
    }

    /// `n` are done in all.
    pub fn set(&self, n: u64) {
        self.shared.pace().set(n, Instant::now());
        self.bar.set_position(n);
    }

    /// The total has become known.
    pub fn set_total(&self, total: u64) {
        self.shared.pace().total = Some(total);
        self.bar.set_length(total);
    }

    /// What is being worked on.
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
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.end.notify_all();
        if let Some(beat) = self.beat.take() {
            let _ = beat.join();
        }
    }
}

fn shared(total: Option<u64>) -> Arc<Shared> {
    Arc::new(Shared {
        pace: Mutex::new(Pace::new(total, Instant::now())),
        message: Mutex::default(),
        ended: Mutex::new(false),
        end: Condvar::new(),
    })
}

/// Progress over photos: their number, and how far the one at hand is through the network.
#[derive(Debug)]
pub struct PhotoProgress {
    progress: Progress,
    /// Whether there is one photo, whose way through the network is what is counted.
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

    /// A photo is about to go through the network.
    pub fn begin(&self, name: String) {
        self.progress.message(name.clone());
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }

    /// It has gone through `done` of `all` of the network.
    pub fn block(&self, done: usize, all: usize) {
        match self.is_single {
            true => {
                self.progress.set_total(all as u64);
                self.progress.shared.pace().from.get_or_insert(0);
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

    /// One more is done.
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

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn time_left_only_falls_while_nothing_is_done() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(10), start);
        assert_eq!((pace.rate(), pace.left(start)), (None, None));
        pace.from = Some(0);
        pace.set(2, after(start, 4.0));
        assert_eq!(pace.rate(), Some(0.5));
        let left = |at| pace.left(after(start, at)).unwrap().as_secs_f64();
        assert!((left(4.0) - 16.0).abs() < 1e-6);
        assert!((left(9.0) - 11.0).abs() < 1e-6);
        assert_eq!(left(60.0), 0.0);
    }

    #[test]
    fn what_was_done_before_is_no_pace() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(1000), start);
        // A download goes on where it broke off.
        pace.set(900, after(start, 1.0));
        assert_eq!(pace.rate(), None);
        pace.set(950, after(start, 2.0));
        assert_eq!(pace.rate(), Some(50.0));
        assert!((pace.left(after(start, 2.0)).unwrap().as_secs_f64() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn figures_have_few_digits() {
        assert_eq!(readable(1324.9104), "1325");
        assert_eq!(readable(3.0717), "3.1");
        assert_eq!(readable(0.4242), "0.42");
        let time = |seconds| readable_time(Duration::from_secs_f64(seconds));
        assert_eq!(time(41.2), "42 s");
        assert_eq!(time(185.0), "3 min 05 s");
        assert_eq!(time(7800.0), "2 h 10 min");
    }

    #[test]
    fn who_sees_no_bar_gets_lines() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let own = lines.clone();
        let say = move |line: &str| own.lock().unwrap().push(line.to_owned());
        let unit = Unit::Things("images".into());
        let progress = Progress::lines(unit, Some(7), Duration::from_millis(10), say);
        progress.message("a.jpg");
        progress.inc(1);
        let start = Instant::now();
        while lines.lock().unwrap().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(1));
        }
        drop(progress);
        let count = lines.lock().unwrap().len();
        thread::sleep(Duration::from_millis(30));
        let lines = lines.lock().unwrap();
        assert!(lines[0].starts_with("a.jpg, 1 of 7 images"), "{lines:?}");
        assert_eq!(lines.len(), count, "none behind the end");
    }
}
