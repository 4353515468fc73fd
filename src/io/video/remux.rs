//! Remuxing, the second pass over encoded packets: joins parts, copies sound, and sets the exact duration of the last
//! frame. Only sound that the container cannot hold is re-encoded.

use std::path::Path;
use std::process::Stdio;

use super::container::VideoContainer;
use super::encoder_config::EncoderConfig;
use super::ffmpeg::{FfmpegPrograms, file_argument, spawn};
use super::ffmpeg_log::FfmpegLog;
use super::mux_arguments::{
    EXACT_DURATION_RELEASE, fast_start_arguments, tag_arguments, time_scale, time_scale_arguments,
};
use crate::error::{Error, FileFault, Result};

/// The encoded video that is read.
pub(super) enum RemuxInput<'p> {
    /// One file in the same container.
    Draft(&'p Path),
    /// Several files, named by the concat list at this path; the first begins at this tick.
    Parts(&'p Path, i64),
}

/// A film to remux.
pub(super) struct Remux<'c> {
    /// The path of the film, for error messages.
    pub path: &'c Path,
    /// Times, tags and sound.
    pub spec: &'c EncoderConfig,
    pub container: VideoContainer,
    pub programs: &'static FfmpegPrograms,
    /// Time and duration of the last frame, in ticks.
    pub last: (i64, i64),
}

impl Remux<'_> {
    /// Writes the film to `target`; returns a note if the sound had to be re-encoded.
    ///
    /// # Errors
    /// Names the film, if ffmpeg fails, with its last complaint.
    pub fn run(&self, pictures: RemuxInput<'_>, target: &Path) -> Result<Option<String>> {
        let base = self.spec.time_base;
        let (last, stays) = self.last;
        let [last, end] = [last, last + stays].map(|time| time - self.spec.origin);
        let mut command = self.programs.ffmpeg();
        command.args(["-v", "level+error", "-copyts"]);
        match pictures {
            RemuxInput::Draft(draft) => {
                command.args(["-f", self.container.ffmpeg_format(), "-i"]);
                command.arg(file_argument(draft));
            }
            RemuxInput::Parts(list, first) => {
                let begin = (first - self.spec.origin) as f64 * base.value();
                if begin != 0.0 {
                    command.args(["-itsoffset", &format!("{begin:.6}")]);
                }
                // `-safe 0` allows the hidden names of unfinished parts.
                command.args(["-f", "concat", "-safe", "0", "-i"]);
                command.arg(file_argument(list));
            }
        }
        if let Some(audio) = &self.spec.audio {
            let begin = self.spec.origin as f64 * base.value();
            if self.spec.origin > audio.origin {
                command.args(["-seek_timestamp", "1", "-ss", &format!("{begin:.6}")]);
            }
            if begin != 0.0 {
                // ffmpeg would undo an offset that equals the start time of a broadcast, hence one microsecond more.
                command.args(["-itsoffset", &format!("{:.6}", -begin - 1e-6)]);
            }
            command.arg("-i").arg(file_argument(&audio.path));
        }
        command.args(["-map", "0:v:0", "-c:v", "copy"]);
        let mut note = None;
        if let Some(audio) = &self.spec.audio {
            let holds = self.container.can_hold_audio(&audio.codec);
            let other = match self.container {
                VideoContainer::WebM => "libopus",
                _ => "aac",
            };
            command.args([
                "-map",
                &format!("1:{}", audio.stream),
                "-c:a",
                if holds { "copy" } else { other },
            ]);
            command.args([
                "-copypriorss",
                "0",
                "-t",
                &format!("{:.6}", end as f64 * base.value()),
            ]);
            if !holds {
                let ending = self.path.extension().unwrap_or_default().display();
                let codec = &audio.codec;
                note = Some(format!(
                    "its sound was {codec}, which .{ending} files do not hold, and is now {other}"
                ));
            }
        }
        command.args(["-map_metadata", "0"]);
        if matches!(pictures, RemuxInput::Parts(..)) {
            // A concat list has no tags.
            command.args(tag_arguments(&self.spec.tags));
        }
        command.args(time_scale_arguments(base, self.container, self.programs));
        if self.container.is_mp4() && self.programs.is_at_least(EXACT_DURATION_RELEASE) {
            let ticks = |time: i64| {
                i128::from(time) * i128::from(base.num() * time_scale(base) / base.den())
            };
            command.arg("-bsf:v");
            command.arg(format!(
                "setts=pts=PTS:dts=DTS:duration=if(eq(PTS\\,{last})\\,{end}-PTS\\,min(DURATION\\,{end}-PTS))",
                last = ticks(last),
                end = ticks(end)
            ));
        }
        command.args(fast_start_arguments(self.container));
        command.args(["-f", self.container.ffmpeg_format(), "-y"]);
        command.arg(file_argument(target));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let failed = |why: String| {
            let what = match &self.spec.audio {
                Some(audio) => format!(
                    "the sound of {} could not be added to it",
                    audio.path.display()
                ),
                None => "it could not be finished".into(),
            };
            Error::file_with_fault(self.path, format!("{what}: {why}"), FileFault::Program)
        };
        let system = |error: std::io::Error| failed(error.to_string());
        let mut running = spawn(command).map_err(system)?;
        let stderr = running
            .take_stderr()
            .ok_or_else(|| failed("it has no log".into()))?;
        let mut log = FfmpegLog::read(stderr).map_err(system)?;
        let ended = running.wait().map_err(system)?;
        log.finish();
        match ended.success() {
            true => Ok(note),
            false => Err(failed(
                log.last_complaint()
                    .unwrap_or_else(|| format!("it ended with {ended}")),
            )),
        }
    }
}
