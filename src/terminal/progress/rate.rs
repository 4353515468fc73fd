//! The rate of work, the time left at that rate, and the formatting of rates, durations and bytes.

use std::time::{Duration, Instant};

/// Rate of work since the first count, and the time left at that rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateEstimator {
    /// Number done before the first count; earlier runs do not add to the rate.
    pub initial: Option<u64>,
    /// Number done, earlier runs included.
    pub done: u64,
    /// Total number, if it is known.
    pub total: Option<u64>,
    start: Instant,
    /// When `done` last grew.
    last_advance: Instant,
}

impl RateEstimator {
    pub fn new(total: Option<u64>, now: Instant) -> Self {
        RateEstimator {
            initial: None,
            done: 0,
            total,
            start: now,
            last_advance: now,
        }
    }

    pub fn set(&mut self, done: u64, now: Instant) {
        if self.initial.is_none() {
            (self.initial, self.start) = (Some(done), now);
        }
        if done != self.done {
            (self.done, self.last_advance) = (done, now);
        }
    }

    /// Items or bytes per second up to the last advance; `None` before there is one.
    pub fn rate(&self) -> Option<f64> {
        let done = self.done.checked_sub(self.initial.unwrap_or(0))?;
        let seconds = (self.last_advance - self.start).as_secs_f64();
        (done > 0 && seconds > 0.0).then(|| done as f64 / seconds)
    }

    /// Time left, from the rate at the last advance less the time since; `None` if the total or the rate is unknown.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let todo = self.total?.checked_sub(self.done)?;
        let left = todo as f64 / self.rate()? - (now - self.last_advance).as_secs_f64();
        Duration::try_from_secs_f64(left.max(0.0)).ok()
    }

    /// Time since the first count.
    pub fn taken(&self, now: Instant) -> Duration {
        now - self.start
    }
}

/// A rate with two decimals below 1, one below 100, and none from there on: `0.42`, `3.1`, `1325`.
pub(super) fn format_rate(rate: f64) -> String {
    let decimals = match rate {
        100.0.. => 0,
        1.0..100.0 => 1,
        _ => 2,
    };
    format!("{rate:.decimals$}")
}

/// An elapsed time as [`format_duration`], with tenths below 10 seconds: `0.4 s`.
pub(super) fn format_elapsed(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 9.95 => format!("{seconds:.1} s"),
        _ => format_duration(time),
    }
}

/// A duration in at most two units, seconds rounded up: `42 s`, `3 min 05 s`, `2 h 10 min`.
pub(super) fn format_duration(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `bytes` in megabytes (10^6), with the digits of [`format_rate`].
pub(super) fn format_megabytes(bytes: f64) -> String {
    format_rate(bytes / 1e6)
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
        let mut pace = RateEstimator::new(Some(10), start);
        assert_eq!((pace.rate(), pace.left(start)), (None, None));
        pace.initial = Some(0);
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
        let mut pace = RateEstimator::new(Some(1000), start);
        // A resumed download.
        pace.set(900, after(start, 1.0));
        assert_eq!(pace.rate(), None);
        pace.set(950, after(start, 2.0));
        assert_eq!(pace.rate(), Some(50.0));
        assert!((pace.left(after(start, 2.0)).unwrap().as_secs_f64() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn figures_have_few_digits() {
        assert_eq!(format_rate(1324.9104), "1325");
        assert_eq!(format_rate(3.0717), "3.1");
        assert_eq!(format_rate(0.4242), "0.42");
        let time = |seconds| format_duration(Duration::from_secs_f64(seconds));
        assert_eq!(time(41.2), "42 s");
        assert_eq!(time(185.0), "3 min 05 s");
        assert_eq!(time(7800.0), "2 h 10 min");
        let taken = |seconds| format_elapsed(Duration::from_secs_f64(seconds));
        assert_eq!(taken(0.42), "0.4 s");
        assert_eq!(taken(9.96), "10 s");
        assert_eq!(taken(185.0), "3 min 05 s");
    }
}
