//! The log of a child `ffmpeg` on its standard error: error lines ("complaints"), and the times of frames from the
//! filter `showinfo`.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Number of complaints that are kept, the most recent ones.
const MAX_COMPLAINTS: usize = 12;

/// A frame that the filter `showinfo` has logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LoggedFrame {
    /// Presentation time in ticks of the filter's time base; `None` if the frame has none.
    pub time: Option<i64>,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

/// The log of a running program, drained by a thread so that the program never blocks on a full pipe.
#[derive(Debug)]
pub(super) struct FfmpegLog {
    state: Arc<Mutex<LogState>>,
    frames: Receiver<LoggedFrame>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct LogState {
    complaints: VecDeque<String>,
    count: u64,
    time_base: Option<(u64, u64)>,
}

impl FfmpegLog {
    /// Reads `stderr` of a program that runs with `-v level+info` or less.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn read(stderr: impl Read + Send + 'static) -> std::io::Result<Self> {
        let state = Arc::new(Mutex::new(LogState::default()));
        let (sender, shown) = channel();
        let thread_state = Arc::clone(&state);
        let thread = thread::Builder::new()
            .name("ffmpeg log".into())
            .spawn(move || drain(stderr, &thread_state, &sender))?;
        Ok(FfmpegLog {
            state,
            frames: shown,
            thread: Some(thread),
        })
    }

    /// Waits for the next logged frame; `None` once the program has closed its standard error.
    pub fn next_frame(&self) -> Option<LoggedFrame> {
        self.frames.recv().ok()
    }

    /// The time base of the logged frames in seconds, as numerator and denominator.
    pub fn time_base(&self) -> Option<(u64, u64)> {
        lock(&self.state).time_base
    }

    /// Number of complaints so far; complete once the program has ended and [`FfmpegLog::finish`] was called.
    pub fn error_line_count(&self) -> u64 {
        lock(&self.state).count
    }

    /// The last complaint that names a cause, else the last.
    pub fn last_complaint(&self) -> Option<String> {
        let state = lock(&self.state);
        // These lines only echo an earlier failure.
        let is_telling = |line: &&String| {
            ![
                "Conversion failed",
                "Error while processing",
                "Error closing",
                "Nothing was written",
                "Error initializing output stream",
                "Could not write header",
                "Could not open encoder",
            ]
            .iter()
            .any(|echo| line.contains(echo))
        };
        let mut lines = state.complaints.iter().rev();
        lines.find(is_telling).or(state.complaints.back()).cloned()
    }

    /// Waits for the end of the log; the program must have ended.
    pub fn finish(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<LogState>) -> MutexGuard<'_, LogState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn drain(stderr: impl Read, state: &Mutex<LogState>, sender: &Sender<LoggedFrame>) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if line.starts_with("[Parsed_showinfo") {
            if let Some(shown) = parse_frame(line) {
                // The receiver is gone if no more frames are needed.
                let _ = sender.send(shown);
            } else if let Some(base) = parse_time_base(line) {
                lock(state).time_base = Some(base);
            }
        } else if let Some(complaint) = parse_complaint(line) {
            let mut state = lock(state);
            state.count += 1;
            if state.complaints.len() == MAX_COMPLAINTS {
                state.complaints.pop_front();
            }
            state.complaints.push_back(complaint);
        }
    }
}

/// The text after the level `[error]`, `[fatal]` or `[panic]`.
fn parse_complaint(line: &str) -> Option<String> {
    let found = ["[error] ", "[fatal] ", "[panic] "]
        .iter()
        .find_map(|level| line.split_once(level));
    found
        .map(|(_, text)| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// `n: 3 pts: 1001 pts_time:0.03 … s:64x48 …`.
fn parse_frame(line: &str) -> Option<LoggedFrame> {
    let (_, rest) = line.split_once(" n:")?;
    let (_, rest) = rest.split_once(" pts:")?;
    let time = rest.split_whitespace().next()?;
    let (_, rest) = rest.split_once(" s:")?;
    let (width, height) = rest.split_whitespace().next()?.split_once('x')?;
    Some(LoggedFrame {
        time: time.parse().ok(),
        size: (width.parse().ok()?, height.parse().ok()?),
    })
}

/// `config in time_base: 1/30000, …`.
fn parse_time_base(line: &str) -> Option<(u64, u64)> {
    let (_, rest) = line.split_once("config in time_base: ")?;
    let (num, den) = rest.split([',', ' ']).next()?.split_once('/')?;
    Some((num.parse().ok()?, den.parse().ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_complaints_are_told_apart() {
        let text = "\
[Parsed_showinfo_0 @ 0x55fa] [info] config in time_base: 1/30000, frame_rate: 30000/1001
[Parsed_showinfo_0 @ 0x55fa] [info] n:   0 pts:   -100 pts_time:0       pos:       48 fmt:yuv420p sar:1/1 s:64x48 i:P
[info]   Duration: 00:00:01.00
[h264 @ 0x55fa] [error] error while decoding MB 3 1
[Parsed_showinfo_0 @ 0x55fa] [info] color_range:unknown color_space:unknown
[Parsed_showinfo_0 @ 0x55fa] [info] n:  1 pts:NOPTS pts_time:NOPTS s:64x48
[error] Conversion failed!
";
        let mut log = FfmpegLog::read(text.as_bytes()).unwrap();
        log.finish();
        let size = (64, 48);
        let time = Some(-100);
        assert_eq!(log.next_frame(), Some(LoggedFrame { time, size }));
        assert_eq!(log.next_frame(), Some(LoggedFrame { time: None, size }));
        assert_eq!(log.next_frame(), None);
        assert_eq!(log.time_base(), Some((1, 30000)));
        assert_eq!(log.error_line_count(), 2);
        assert_eq!(log.last_complaint().unwrap(), "error while decoding MB 3 1");
    }
}
