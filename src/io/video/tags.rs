//! Reads a metadata tag and the number of frames of a film that was written before.

use std::path::Path;

use serde_json::Value;

use super::ffmpeg::{FfmpegPrograms, capture, file_argument};

/// The value of the tag `name` (ignoring case) of the file at `path`; `None` if it is missing or the file cannot be
/// read.
pub fn read_tag(path: &Path, name: &str) -> Option<String> {
    let programs = FfmpegPrograms::find(path).ok()?;
    let mut command = programs.ffprobe();
    command.args(["-of", "json", "-show_entries", "format_tags"]);
    command.arg(file_argument(path));
    let output = capture(&mut command).ok()?;
    let output: Value = serde_json::from_slice(&output.stdout).ok()?;
    let tags = output.get("format")?.get("tags")?.as_object()?;
    let mut tags = tags.iter();
    let (_, value) = tags.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(value.as_str()?.to_owned())
}

/// The number of packets of the first video stream of the film at `path`; `None` if it cannot be read.
pub fn count_frames(path: &Path) -> Option<u64> {
    let programs = FfmpegPrograms::find(path).ok()?;
    let mut command = programs.ffprobe();
    command.args(["-of", "json", "-select_streams", "v:0", "-count_packets"]);
    command.args(["-show_entries", "stream=nb_read_packets"]);
    command.arg(file_argument(path));
    let output = capture(&mut command).ok()?;
    let output: Value = serde_json::from_slice(&output.stdout).ok()?;
    let count = output.get("streams")?.get(0)?.get("nb_read_packets")?;
    count.as_str()?.parse().ok()
}
