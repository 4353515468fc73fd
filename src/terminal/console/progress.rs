//! Progress of work, shown by a [`Console`]: bars at a terminal, else lines on stderr, nothing with `--quiet`.

use super::{Console, print_line};
use crate::terminal::printable::printable;
use crate::terminal::progress::{PhotoProgress, Progress, ProgressUnit, REPORT_INTERVAL};

impl Console {
    /// Progress over `total` items called `unit` (a plural); hidden for fewer than two.
    pub fn progress(&self, total: u64, unit: &str) -> Progress {
        match total {
            0 | 1 => Progress::hidden(),
            _ => self.start(ProgressUnit::Items(unit.to_owned()), Some(total)),
        }
    }

    /// Progress over `total` photos; for a single photo, over the percentage of the network that is computed.
    pub fn progress_of_photos(&self, total: usize) -> PhotoProgress {
        let (unit, is_single) = match total {
            1 => (ProgressUnit::Items("percent of the network".into()), true),
            _ => (ProgressUnit::Photos(None), false),
        };
        let known = (!is_single).then_some(total as u64);
        let progress = self.start(unit, known);
        PhotoProgress::new(progress, is_single)
    }

    /// Progress over `total` frames of a clip.
    pub fn progress_of_frames(&self, total: usize) -> PhotoProgress {
        let progress = self.start(ProgressUnit::Photos(None), Some(total as u64));
        PhotoProgress::new(progress, false)
    }

    /// Progress over `total` photos in a secondary pass called `work`, such as drawing; hidden for fewer than two.
    pub fn progress_of_work(&self, total: usize, work: &'static str) -> Progress {
        match total {
            0 | 1 => Progress::hidden(),
            _ => self.start(ProgressUnit::Photos(Some(work)), Some(total as u64)),
        }
    }

    /// Progress over the bytes of the download called `label`; without a total only the number of bytes is shown.
    pub fn progress_bytes(&self, total: Option<u64>, label: &str) -> Progress {
        self.start(ProgressUnit::Bytes(label.to_owned()), total)
    }

    fn start(&self, unit: ProgressUnit, total: Option<u64>) -> Progress {
        let bars = self.bars.clone();
        match (self.quiet, self.shows_bars) {
            (true, _) => Progress::hidden(),
            (false, true) => Progress::bar(&bars, &unit, total),
            (false, false) => Progress::lines(unit, total, REPORT_INTERVAL, move |line| {
                print_line(&bars, format_args!("{}", printable(line)));
            }),
        }
    }
}
