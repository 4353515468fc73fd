//! The packets of a video stream as ffprobe lists them: times, durations and key frames without decoding.

use std::path::Path;
use std::process::Command;

use super::ffmpeg::{FfmpegPrograms, ProgramOutput, capture, file_argument};
use crate::error::{Error, FileFault, Result};

/// The packets of one stream; times and durations are in ticks of the stream's time base.
#[derive(Debug, Default)]
pub(super) struct Packets {
    /// Presentation times (PTS) of the frames, in decoding order.
    pub times: Vec<i64>,
    /// Presentation times of the key frames.
    pub keys: Vec<i64>,
    /// Total number of packets, including those that players do not show.
    pub count: u64,
    /// Durations that the file states, above 0.
    pub durations: Vec<i64>,
    /// Whether the times were estimated by a decoder because the container has none; the first may then be any tick.
    pub are_guessed: bool,
    /// ffprobe's error messages.
    pub error_lines: Vec<String>,
}

impl Packets {
    /// Asks ffprobe for the packets of the stream with this index.
    ///
    /// # Errors
    /// Names the file, if ffprobe cannot be run.
    pub fn read(programs: &FfmpegPrograms, path: &Path, stream: u32) -> Result<Self> {
        let mut packets = Packets::query(programs, path, stream, &["packet=pts,duration,flags"])?;
        if packets.times.is_empty() && packets.count > 0 {
            // Some containers (AVI, raw streams) store no presentation times; a decoder estimates them.
            let fields = ["frame=best_effort_timestamp,pkt_duration,duration,key_frame"];
            let count = packets.count;
            packets = Packets::query(programs, path, stream, &fields)?;
            packets.count = count;
            packets.are_guessed = true;
        }
        Ok(packets)
    }

    fn query(
        programs: &FfmpegPrograms,
        path: &Path,
        stream: u32,
        entries: &[&str],
    ) -> Result<Self> {
        let mut command = programs.ffprobe();
        command.args([
            "-select_streams",
            &stream.to_string(),
            "-of",
            "compact=p=0",
            "-show_entries",
        ]);
        command.args(entries).arg(file_argument(path));
        let output = run_ffprobe(path, &mut command)?;
        let mut packets = Packets {
            error_lines: output.complaints(),
            ..Packets::default()
        };
        let mut are_complete = true;
        for line in output.text().lines() {
            are_complete &= packets.parse_line(line);
        }
        if !are_complete && entries[0].starts_with("packet") {
            packets.times.clear();
        }
        Ok(packets)
    }

    /// Parses a line such as `pts=1001|duration=1001|flags=K_`; returns whether it has a time or needs none.
    fn parse_line(&mut self, line: &str) -> bool {
        let field = |name: &str| {
            let mut fields = line.split('|').filter_map(|field| field.split_once('='));
            fields
                .find(|(found, _)| *found == name)
                .map(|(_, value)| value)
        };
        let number = |name: &str| field(name).and_then(|value| value.parse::<i64>().ok());
        if field("flags").is_none() && field("best_effort_timestamp").is_none() {
            return true;
        }
        self.count += 1;
        let flags = field("flags").unwrap_or_default();
        // Discarded packet: it precedes the start set by an edit list.
        if flags.contains('D') {
            return true;
        }
        let duration = number("duration").or_else(|| number("pkt_duration"));
        // Frames that a decoder flushes at the end of the file have no time.
        let follows = || {
            let last = self.times.last().filter(|_| field("flags").is_none())?;
            Some(last + duration.unwrap_or(1).max(1))
        };
        let Some(time) = number("pts")
            .or_else(|| number("best_effort_timestamp"))
            .or_else(follows)
        else {
            return false;
        };
        self.times.push(time);
        if flags.contains('K') || field("key_frame") == Some("1") {
            self.keys.push(time);
        }
        let duration = number("duration").or_else(|| number("pkt_duration"));
        self.durations
            .extend(duration.filter(|&duration| duration > 0));
        true
    }
}

/// Runs ffprobe and captures its output.
///
/// # Errors
/// Names `path`, the file to probe, if ffprobe cannot be started; [`Error::Interrupted`] after Ctrl-C.
pub(super) fn run_ffprobe(path: &Path, command: &mut Command) -> Result<ProgramOutput> {
    capture(command).map_err(|error| match error.kind() {
        std::io::ErrorKind::Interrupted => Error::Interrupted,
        _ => Error::file_with_fault(
            path,
            format!("ffprobe cannot be run: {error}"),
            FileFault::Program,
        ),
    })
}
