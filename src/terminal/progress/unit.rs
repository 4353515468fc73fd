//! The unit that progress counts, and the lines of text about it.

use std::time::Instant;

use super::rate::{RateEstimator, format_duration, format_elapsed, format_megabytes, format_rate};

/// The unit that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProgressUnit {
    /// Photos, with the name of the pass, such as drawing; `None` for the main pass.
    Photos(Option<&'static str>),
    /// Items of this name, a plural.
    Items(String),
    /// Bytes of the file or model of this name.
    Bytes(String),
}

impl ProgressUnit {
    /// The line at the start; only for several photos.
    pub(super) fn first_line(&self, total: Option<u64>) -> Option<String> {
        match (self, total) {
            (ProgressUnit::Photos(_), Some(total @ 2..)) => {
                Some(format!("{}{total} images to do", self.work_prefix()))
            }
            _ => None,
        }
    }

    /// The line while work is running; `message` names the current item.
    pub(super) fn line(&self, pace: &RateEstimator, message: &str, now: Instant) -> String {
        if (pace.done, pace.total) == (0, None) {
            return match message.is_empty() {
                true => "nothing is done yet".to_owned(),
                false => format!("{message}: on its way to the network"),
            };
        }
        let parts = [
            message.to_owned(),
            self.so_far(pace),
            self.rate(pace),
            left(pace, now),
        ];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{}{}", self.work_prefix(), parts.join(", "))
    }

    /// The line at the end, complete or not; `None` if there is no first line.
    pub(super) fn last_line(&self, pace: &RateEstimator, now: Instant) -> Option<String> {
        self.first_line(pace.total)?;
        let (work, so_far) = (self.work_prefix(), self.so_far(pace));
        let taken = format_elapsed(pace.taken(now));
        let mut line = match Some(pace.done) < pace.total {
            true => format!("{work}stopped at {so_far} after {taken}"),
            false => format!("{work}{so_far} in {taken}"),
        };
        let rate = self.rate(pace);
        if !rate.is_empty() {
            line += &format!(", {rate}");
        }
        Some(line)
    }

    /// The rate, such as `2.7/s`; empty as long as it is not known.
    pub(super) fn rate(&self, pace: &RateEstimator) -> String {
        match (pace.rate(), self) {
            (None, _) => String::new(),
            // A rate in percent per second is not shown.
            (Some(_), ProgressUnit::Items(name)) if name.starts_with("percent") => String::new(),
            (Some(rate), ProgressUnit::Photos(_) | ProgressUnit::Items(_)) => {
                format!("{}/s", format_rate(rate))
            }
            (Some(rate), ProgressUnit::Bytes(_)) => format!("{} MB/s", format_megabytes(rate)),
        }
    }

    /// The number done, with the total if it is known.
    fn so_far(&self, &RateEstimator { done, total, .. }: &RateEstimator) -> String {
        let (name, is_part) = match self {
            ProgressUnit::Photos(_) => ("images", true),
            ProgressUnit::Items(name) => (name.as_str(), !name.starts_with("percent")),
            ProgressUnit::Bytes(name) => {
                let done = format_megabytes(done as f64);
                return match total {
                    Some(total) => {
                        format!("{name}: {done} of {} MB", format_megabytes(total as f64))
                    }
                    None => format!("{name}: {done} MB"),
                };
            }
        };
        match total {
            Some(total) if is_part => format!("{done} of {total} {name}"),
            _ => format!("{done} {name}"),
        }
    }

    fn work_prefix(&self) -> String {
        match self {
            ProgressUnit::Photos(Some(work)) => format!("{work}: "),
            _ => String::new(),
        }
    }
}

/// The time left, such as `about 42 s left`; empty as long as it is not known.
pub(super) fn left(pace: &RateEstimator, now: Instant) -> String {
    let left = pace.left(now);
    left.map_or(String::new(), |left| {
        format!("about {} left", format_duration(left))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn under_way(done: u64, total: u64, seconds: u64) -> (RateEstimator, Instant) {
        let start = Instant::now();
        let now = start + Duration::from_secs(seconds);
        let mut pace = RateEstimator::new(Some(total), start);
        pace.initial = Some(0);
        pace.set(done, now);
        (pace, now)
    }

    #[test]
    fn photos_are_told_from_start_to_end() {
        let photos = ProgressUnit::Photos(None);
        assert_eq!(photos.first_line(Some(500)).unwrap(), "500 images to do");
        let (pace, now) = under_way(80, 500, 30);
        assert_eq!(
            photos.line(&pace, "a.jpg", now),
            "a.jpg, 80 of 500 images, 2.7/s, about 2 min 38 s left"
        );
        assert_eq!(
            photos.last_line(&pace, now).unwrap(),
            "stopped at 80 of 500 images after 30 s, 2.7/s"
        );
        let (pace, now) = under_way(500, 500, 185);
        assert_eq!(
            photos.last_line(&pace, now).unwrap(),
            "500 of 500 images in 3 min 05 s, 2.7/s"
        );
        let (pace, now) = under_way(0, 500, 2);
        assert_eq!(
            photos.last_line(&pace, now).unwrap(),
            "stopped at 0 of 500 images after 2.0 s"
        );
    }

    #[test]
    fn a_second_pass_says_what_it_does() {
        let drawing = ProgressUnit::Photos(Some("drawing"));
        assert_eq!(
            drawing.first_line(Some(3)).unwrap(),
            "drawing: 3 images to do"
        );
        let (pace, now) = under_way(2, 4, 1);
        assert_eq!(
            drawing.line(&pace, "a.jpg", now),
            "drawing: a.jpg, 2 of 4 images, 2.0/s, about 1 s left"
        );
        let (pace, now) = under_way(4, 4, 1);
        assert_eq!(
            drawing.last_line(&pace, now).unwrap(),
            "drawing: 4 of 4 images in 1.0 s, 4.0/s"
        );
    }

    #[test]
    fn one_photo_and_other_things_have_no_ends() {
        let percent = ProgressUnit::Items("percent of the network".into());
        let windows = ProgressUnit::Items("windows".into());
        let bytes = ProgressUnit::Bytes("weights".into());
        for (unit, total) in [
            (&ProgressUnit::Photos(None), Some(1)),
            (&ProgressUnit::Photos(None), Some(0)),
            (&percent, Some(100)),
            (&percent, None),
            (&windows, Some(24)),
            (&bytes, Some(1000)),
        ] {
            assert_eq!(unit.first_line(total), None, "{unit:?}");
            let pace = RateEstimator::new(total, Instant::now());
            assert_eq!(unit.last_line(&pace, Instant::now()), None, "{unit:?}");
        }
        let (pace, now) = under_way(40, 100, 1);
        assert!(percent.line(&pace, "", now).starts_with("40 percent"));
        assert!(windows.line(&pace, "", now).starts_with("40 of 100 win"));
    }
}
