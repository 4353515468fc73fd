//! The times of frames in ticks, and the selection of frames by time, step, rate and count.

use std::time::Duration;

use super::ratio::Ratio;

/// Presentation time and duration of a frame, in ticks of the clip's time base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTime {
    /// Presentation time.
    pub time: i64,
    /// Duration; at least 1.
    pub duration: i64,
}

/// A selected frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedFrame {
    /// Its number in the clip, counted from 0.
    pub index: u64,
    /// Presentation time in ticks.
    pub time: i64,
    /// Duration in ticks: until the next selected frame, or the end of the selection; at least 1.
    pub duration: i64,
}

/// Rules that select frames of a clip, applied in the order of the fields. Times are counted from the clip's time 0, as
/// players show them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameSelection {
    /// No frame before this time.
    pub start: Option<Duration>,
    /// No frame at this time or after it.
    pub end: Option<Duration>,
    /// Of the remaining frames, every n-th, beginning with the first.
    pub every: Option<u64>,
    /// Of the remaining frames, at most this many per second: the first in each interval of 1/fps second.
    pub fps: Option<Ratio>,
    /// Of the remaining frames, at most this many.
    pub max_frames: Option<u64>,
}

impl FrameSelection {
    /// The frames of `times` (ticks of `base`, increasing) that are selected; the tick `zero` is the clip's time 0.
    pub fn plan(&self, times: &[FrameTime], base: Ratio, zero: i64) -> Vec<PlannedFrame> {
        let after_zero = |time: i64| base.nanoseconds(time - zero);
        let nanoseconds = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        let start = self.start.map(nanoseconds);
        let end = self.end.map(nanoseconds);
        let within = times.iter().enumerate().filter(|(_, frame)| {
            let time = after_zero(frame.time);
            start.is_none_or(|start| time >= start) && end.is_none_or(|end| time < end)
        });
        let every = usize::try_from(self.every.unwrap_or(1).max(1)).unwrap_or(usize::MAX);
        let most = self
            .max_frames
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(usize::MAX);
        let mut slots = RateSlots::new(base, self.fps);
        let taken: Vec<(usize, FrameTime)> = within
            .map(|(index, frame)| (index, *frame))
            .step_by(every)
            .filter(|(_, frame)| slots.accepts(frame.time))
            .take(most)
            .collect();
        let stop = taken.last().map_or(0, |&(index, frame)| {
            let clip_end = times.last().map_or(0, |last| last.time + last.duration);
            let end = self.end.map_or(clip_end, |end| {
                let end = base.ticks_before(nanoseconds(end)).saturating_add(zero);
                end.min(clip_end)
            });
            let is_cut = self.max_frames == Some(taken.len() as u64);
            // The duration of the last frame is the distance to the previous one, as if the next one had been selected.
            let next = taken.len().checked_sub(2).map(|before| {
                let step = frame.time - taken[before].1.time;
                frame.time + step
            });
            match (is_cut, next) {
                (true, Some(next)) => next.min(end),
                (true, None) => times.get(index + 1).map_or(end, |next| next.time).min(end),
                (false, _) => end,
            }
        });
        let ends = taken.iter().skip(1).map(|(_, frame)| frame.time);
        let ends = ends.chain(std::iter::once(stop));
        let spans = taken.iter().zip(ends);
        spans
            .map(|(&(index, frame), end)| PlannedFrame {
                index: index as u64,
                time: frame.time,
                duration: (end - frame.time).max(1),
            })
            .collect()
    }

    /// Frames per second, on average, after the selection from a clip with this rate.
    pub(super) fn rate(&self, rate: Ratio) -> Ratio {
        let every = self.every.unwrap_or(1).max(1);
        let thinned = Ratio::new(rate.num(), rate.den() * every).unwrap_or(rate);
        match self.fps {
            Some(fps) if fps.value() < thinned.value() => fps,
            _ => thinned,
        }
    }

    /// ffmpeg's `select` filters that pass the selected frames from tick `first` to tick `last`, and no others.
    pub(super) fn filters(&self, first: i64, last: i64, base: Ratio) -> Vec<String> {
        let mut filters = Vec::new();
        if self.start.is_some() || self.end.is_some() {
            filters.push(format!("select=between(pts\\,{first}\\,{last})"));
        }
        if let Some(every) = self.every.filter(|&every| every > 1) {
            filters.push(format!("select=not(mod(n\\,{every}))"));
        }
        if let Some(fps) = self.fps {
            let slots = RateSlots::new(base, Some(fps));
            let slot = |pts: &str| format!("floor(({pts}-{first})*{}/{})", slots.num, slots.den);
            filters.push(format!(
                "select=isnan(prev_selected_pts)+gt({}\\,{})",
                slot("pts"),
                slot("prev_selected_pts")
            ));
        }
        filters
    }
}

/// Intervals of 1/fps second, each of which accepts its first frame; without fps all frames are accepted.
struct RateSlots {
    num: i128,
    den: i128,
    is_open: bool,
    first: Option<i64>,
    last: Option<i128>,
}

impl RateSlots {
    fn new(base: Ratio, fps: Option<Ratio>) -> Self {
        let fps_or_one = fps.unwrap_or(Ratio::one_over(1));
        let num = i128::from(base.num()) * i128::from(fps_or_one.num());
        let den = i128::from(base.den()) * i128::from(fps_or_one.den());
        RateSlots {
            num,
            den,
            is_open: fps.is_none(),
            first: None,
            last: None,
        }
    }

    fn accepts(&mut self, time: i64) -> bool {
        let first = *self.first.get_or_insert(time);
        let slot = (i128::from(time - first) * self.num).div_euclid(self.den);
        let is_new = self.is_open || self.last.is_none_or(|last| slot > last);
        if is_new {
            self.last = Some(slot);
        }
        is_new
    }
}

/// Times and durations of frames from their presentation times in any order: each lasts until the next, the last until
/// `end`, or `usual` ticks if `end` is unknown or implausible (over 100 times as long).
pub(super) fn frame_times(mut times: Vec<i64>, end: Option<i64>, usual: i64) -> Vec<FrameTime> {
    times.sort_unstable();
    times.dedup();
    let Some(&last) = times.last() else {
        return Vec::new();
    };
    let usual = usual.max(1);
    let end = end
        .filter(|&end| end > last && end - last <= usual.saturating_mul(100))
        .unwrap_or(last + usual);
    let ends = times.iter().skip(1).copied().chain(std::iter::once(end));
    let spans = times.iter().zip(ends);
    spans
        .map(|(&time, end)| FrameTime {
            time,
            duration: end - time,
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn clip(frames: i64, step: i64) -> Vec<FrameTime> {
        frame_times((0..frames).map(|n| n * step).collect(), None, step)
    }

    fn indices(plan: &[PlannedFrame]) -> Vec<u64> {
        plan.iter().map(|planned| planned.index).collect()
    }

    #[test]
    fn thirty_a_second_become_twenty_four() {
        let base = Ratio::new(1, 30).unwrap();
        let selection = FrameSelection {
            fps: Ratio::new(24, 1),
            ..FrameSelection::default()
        };
        let plan = selection.plan(&clip(300, 1), base, 0);
        assert_eq!(plan.len(), 240);
        let together: i64 = plan.iter().map(|planned| planned.duration).sum();
        assert_eq!(together, 300);
        // More than there are gives each once.
        let selection = FrameSelection {
            fps: Ratio::new(60, 1),
            ..FrameSelection::default()
        };
        assert_eq!(selection.plan(&clip(300, 1), base, 0).len(), 300);
    }

    #[test]
    fn start_end_every_and_most_are_exact() {
        let base = Ratio::new(1, 25).unwrap();
        let selection = FrameSelection {
            start: Some(Duration::from_millis(200)),
            end: Some(Duration::from_millis(600)),
            ..FrameSelection::default()
        };
        let times = clip(50, 1);
        assert_eq!(
            indices(&selection.plan(&times, base, 0)),
            [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
        );
        let selection = FrameSelection {
            every: Some(4),
            ..selection
        };
        let plan = selection.plan(&times, base, 0);
        assert_eq!(indices(&plan), [5, 9, 13]);
        let durations: Vec<i64> = plan.iter().map(|planned| planned.duration).collect();
        assert_eq!(durations, [4, 4, 2]);
        let selection = FrameSelection {
            max_frames: Some(2),
            ..selection
        };
        assert_eq!(indices(&selection.plan(&times, base, 0)), [5, 9]);
        let none = FrameSelection {
            start: Some(Duration::from_secs(9)),
            ..FrameSelection::default()
        };
        assert!(none.plan(&times, base, 0).is_empty());
    }

    #[test]
    fn each_frame_stays_until_the_next() {
        let frames = frame_times(vec![30, 0, 10, 10], Some(70), 10);
        let spans: Vec<(i64, i64)> = frames.iter().map(|f| (f.time, f.duration)).collect();
        assert_eq!(spans, [(0, 10), (10, 20), (30, 40)]);
        assert_eq!(frame_times(vec![5], None, 0)[0].duration, 1);
    }
}
