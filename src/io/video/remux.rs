//! The second pass over a clip that was written: its parts are joined, sound is added to it, and the end of its last frame is
//! made exact.

use std::path::Path;
use std::process::Stdio;

use super::container::VideoContainer;
use super::encode::{EncoderConfig, VideoEncoder, tag_arguments};
use super::ffmpeg::{FfmpegPrograms, file_argument, spawn};
use super::ffmpeg_log::FfmpegLog;
use super::ratio::Ratio;
use crate::error::{Error, FileFault, Result};

impl VideoEncoder {
    /// Whether the last frame stays as long as it should only after a second pass: encoders take it for a frame of the
    /// average length.
    pub(super) fn has_inexact_end(&self) -> bool {
        let (_, stays) = self.last.unwrap_or_default();
        let usual = self.spec.rate.inverse().value() / self.spec.time_base.value();
        self.container.is_mp4()
            && self.programs.is_at_least(EXACT_DURATION_RELEASE)
            && (stays as f64 - usual).abs() > 0.5
    }

    /// Makes the whole clip of the pictures, and of the sound that belongs to them; a sentence, if that could not be copied.
    pub(super) fn remux(&self) -> Result<Option<String>> {
        let completion = Remux {
            path: &self.path,
            spec: &self.spec,
            container: self.container,
            programs: self.programs,
            last: self.last.unwrap_or_default(),
        };
        let draft = RemuxInput::Draft(&self.file.draft_path());
        completion.run(draft, &self.file.unfinished_path())
    }
}

/// Where the encoded pictures lie.
pub(super) enum RemuxInput<'p> {
    /// In one file of the same kind.
    Draft(&'p Path),
    /// In several, which ffmpeg's list of this path names; the first appears at this tick.
    Parts(&'p Path, i64),
}

/// What is made whole.
pub(super) struct Remux<'c> {
    /// Where it is to appear, for errors.
    pub path: &'c Path,
    pub spec: &'c EncoderConfig,
    pub container: VideoContainer,
    pub programs: &'static FfmpegPrograms,
    /// The time and the duration of the last frame.
    pub last: (i64, i64),
}

impl Remux<'_> {
    /// Writes `target`; a sentence, if the sound could not be copied.
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
                // A part that is not finished has a hidden name.
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
                // An offset of just what a broadcast begins at would be taken for ffmpeg's own, and put right.
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
            // A list has no tags.
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

/// Releases from this one on count the length of a clip and of its last frame as finely as all times.
const EXACT_DURATION_RELEASE: (u32, u32) = (5, 0);

/// The units of time of MP4.
pub(super) fn time_scale_arguments(
    base: Ratio,
    container: VideoContainer,
    programs: &FfmpegPrograms,
) -> Vec<String> {
    if !container.is_mp4() {
        return Vec::new();
    }
    let scale = time_scale(base).to_string();
    let mut all = vec!["-video_track_timescale".to_owned(), scale.clone()];
    if programs.is_at_least(EXACT_DURATION_RELEASE) {
        all.extend(["-movie_timescale".to_owned(), scale]);
    }
    all
}

/// Ticks a second of a track, so that every tick of `base` is a whole number of them.
fn time_scale(base: Ratio) -> u64 {
    let mut scale = base.den();
    // Some players do not count in fewer.
    while scale < 1000 {
        scale *= 2;
    }
    scale
}

pub(super) fn fast_start_arguments(container: VideoContainer) -> Vec<&'static str> {
    match container.is_mp4() {
        true => vec!["-movflags", "+faststart+use_metadata_tags"],
        false => Vec::new(),
    }
}
