//! The second pass over a clip that was written: its parts are joined, sound is added to it, and the end of its last frame is
//! made exact.

use std::path::Path;
use std::process::Stdio;

use super::container::Container;
use super::encode::{Encoder, Spec, tag_arguments};
use super::log::Log;
use super::program::{Programs, file_argument, start};
use super::ratio::Ratio;
use crate::error::{Error, Fault, Result};

impl Encoder {
    /// Whether the last frame stays as long as it should only after a second pass: encoders take it for a frame of the
    /// average length.
    pub(super) fn has_wrong_end(&self) -> bool {
        let (_, stays) = self.last.unwrap_or_default();
        let usual = self.spec.rate.inverse().value() / self.spec.time_base.value();
        self.container.is_mp4()
            && self.programs.is_at_least(EXACT_ENDS)
            && (stays as f64 - usual).abs() > 0.5
    }

    /// Makes the whole clip of the pictures, and of the sound that belongs to them; a sentence, if that could not be copied.
    pub(super) fn complete(&self) -> Result<Option<String>> {
        let completion = Completion {
            path: &self.path,
            spec: &self.spec,
            container: self.container,
            programs: self.programs,
            last: self.last.unwrap_or_default(),
        };
        let draft = Pictures::Draft(&self.file.draft());
        completion.run(draft, &self.file.unfinished())
    }
}

/// Where the encoded pictures lie.
pub(super) enum Pictures<'p> {
    /// In one file of the same kind.
    Draft(&'p Path),
    /// In several, which ffmpeg's list of this path names; the first appears at this tick.
    Parts(&'p Path, i64),
}

/// What is made whole.
pub(super) struct Completion<'c> {
    /// Where it is to appear, for errors.
    pub path: &'c Path,
    pub spec: &'c Spec,
    pub container: Container,
    pub programs: &'static Programs,
    /// The time and the duration of the last frame.
    pub last: (i64, i64),
}

impl Completion<'_> {
    /// Writes `target`; a sentence, if the sound could not be copied.
    pub fn run(&self, pictures: Pictures<'_>, target: &Path) -> Result<Option<String>> {
        let base = self.spec.time_base;
        let (last, stays) = self.last;
        let [last, end] = [last, last + stays].map(|time| time - self.spec.origin);
        let mut command = self.programs.ffmpeg();
        command.args(["-v", "level+error", "-copyts"]);
        match pictures {
            Pictures::Draft(draft) => {
                command.args(["-f", self.container.format(), "-i"]);
                command.arg(file_argument(draft));
            }
            Pictures::Parts(list, first) => {
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
            if self.spec.origin > audio.zero {
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
            let holds = self.container.holds(&audio.codec);
            let other = match self.container {
                Container::WebM => "libopus",
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
        if matches!(pictures, Pictures::Parts(..)) {
            // A list has no tags.
            command.args(tag_arguments(&self.spec.tags));
        }
        command.args(time_scales(base, self.container, self.programs));
        if self.container.is_mp4() && self.programs.is_at_least(EXACT_ENDS) {
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
        command.args(fast_start(self.container));
        command.args(["-f", self.container.format(), "-y"]);
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
            Error::fault(self.path, format!("{what}: {why}"), Fault::Program)
        };
        let system = |error: std::io::Error| failed(error.to_string());
        let mut running = start(command).map_err(system)?;
        let stderr = running
            .take_stderr()
            .ok_or_else(|| failed("it has no log".into()))?;
        let mut log = Log::read(stderr).map_err(system)?;
        let ended = running.wait().map_err(system)?;
        log.finish();
        match ended.success() {
            true => Ok(note),
            false => Err(failed(
                log.last()
                    .unwrap_or_else(|| format!("it ended with {ended}")),
            )),
        }
    }
}

/// Releases from this one on count the length of a clip and of its last frame as finely as all times.
const EXACT_ENDS: (u32, u32) = (5, 0);

/// The units of time of MP4.
pub(super) fn time_scales(base: Ratio, container: Container, programs: &Programs) -> Vec<String> {
    if !container.is_mp4() {
        return Vec::new();
    }
    let scale = time_scale(base).to_string();
    let mut all = vec!["-video_track_timescale".to_owned(), scale.clone()];
    if programs.is_at_least(EXACT_ENDS) {
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

pub(super) fn fast_start(container: Container) -> Vec<&'static str> {
    match container.is_mp4() {
        true => vec!["-movflags", "+faststart+use_metadata_tags"],
        false => Vec::new(),
    }
}
