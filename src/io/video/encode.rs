//! Encoding a film through a child ffmpeg, which gets raw frames with exact times as Matroska ([`super::matroska`]).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};

use super::container::VideoContainer;
use super::encoder_config::EncoderConfig;
use super::encoders::{EncoderArguments, VideoCodec};
use super::ffmpeg::{FfmpegPrograms, file_argument, spawn};
use super::ffmpeg_log::FfmpegLog;
use super::matroska;
use super::mux_arguments::{
    EXACT_DURATION_RELEASE, fast_start_arguments, tag_arguments, time_scale_arguments,
};
use super::remux::{Remux, RemuxInput};
use crate::error::{Error, FileFault, Result};
use crate::system::child_process::ChildProcess;
use crate::system::files::{ExternalFile, FileStamp};

/// Encodes one film. The file appears when [`VideoEncoder::finish`] succeeds; an encoder that is dropped before leaves
/// no file.
#[derive(Debug)]
pub struct VideoEncoder {
    path: PathBuf,
    spec: EncoderConfig,
    container: VideoContainer,
    programs: &'static FfmpegPrograms,
    file: ExternalFile,
    /// ffmpeg's input; `None` once it is closed.
    stdin: Option<ChildStdin>,
    running: ChildProcess,
    log: FfmpegLog,
    /// Width and height of the film in pixels.
    size: (u32, u32),
    has_header: bool,
    frames: u64,
    /// Time and duration of the last frame, in ticks.
    last: Option<(i64, i64)>,
}

/// A film that was written.
#[derive(Debug, Clone)]
pub struct EncodedClip {
    /// Number of frames.
    pub frames: u64,
    /// Width and height in pixels; even numbers if the pixel format is YUV.
    pub size: (u32, u32),
    /// Stamp of the file; `None` for an output that cannot be replaced and was overwritten.
    pub stamp: Option<FileStamp>,
    /// Notes for the user, as sentences whose subject is the film.
    pub notes: Vec<String>,
}

impl VideoEncoder {
    /// Begins the film at `path`, whose extension chooses the container.
    ///
    /// # Errors
    /// Names the file or the codec: if ffmpeg or the encoder is missing, the extension is unknown, or no file can be
    /// made there.
    pub fn new(path: &Path, spec: EncoderConfig) -> Result<Self> {
        let programs = FfmpegPrograms::find(path)?;
        let container = VideoContainer::of(path)?;
        let settings = spec.codec.encoder_arguments(
            programs,
            (spec.width, spec.height),
            spec.pixel_format,
            spec.rate,
            container,
        )?;
        let file = ExternalFile::begin(path)?;
        let mut command = programs.ffmpeg();
        command.args([
            "-v",
            "level+error",
            "-copyts",
            "-f",
            "matroska",
            "-i",
            "pipe:0",
            "-map",
            "0:v:0",
        ]);
        command.args(encode_arguments(&spec, &settings, container));
        command.args(time_scale_arguments(spec.time_base, container, programs));
        command.args(programs.passthrough());
        let target = match spec.audio {
            Some(_) => file.draft_path(),
            None => {
                command.args(fast_start_arguments(container));
                file.unfinished_path()
            }
        };
        command.args(["-f", container.ffmpeg_format(), "-y"]);
        command.arg(file_argument(&target));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let failed = |error: std::io::Error| {
            Error::file_with_fault(
                path,
                format!("ffmpeg cannot be started: {error}"),
                FileFault::Program,
            )
        };
        let mut running = spawn(command).map_err(failed)?;
        let stdin = running.take_stdin();
        let stderr = running.take_stderr();
        let stderr = stderr.ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
        Ok(VideoEncoder {
            path: path.to_owned(),
            size: settings.size,
            spec,
            container,
            programs,
            file,
            stdin,
            running,
            log: FfmpegLog::read(stderr).map_err(failed)?,
            has_header: false,
            frames: 0,
            last: None,
        })
    }

    /// Adds a frame that appears at `time` and stays for `duration`, in ticks of the time base. `frame` is
    /// `[height, width]` pixels of [`EncoderConfig::pixel_format`].
    ///
    /// # Errors
    /// Names the file, if ffmpeg failed, with its message; if `frame` does not have the right number of bytes, or
    /// `time` is not later than that of the previous frame.
    pub fn write(&mut self, frame: &[u8], time: i64, duration: i64) -> Result<()> {
        let spec = &self.spec;
        let bytes = spec.width as usize * spec.height as usize * spec.pixel_format.bytes();
        if frame.len() != bytes {
            let why = format!(
                "a frame of {} bytes was given, where {bytes} make one",
                frame.len()
            );
            return Err(Error::file(&self.path, why));
        }
        if let Some((last, _)) = self.last.filter(|&(last, _)| time <= last) {
            let why = format!("a frame at tick {time} was given behind one at tick {last}");
            return Err(Error::file(&self.path, why));
        }
        if !self.has_header {
            // The film's time 0 is not after its first frame.
            self.spec.origin = self.spec.origin.min(time);
        }
        let base = self.spec.time_base;
        let nanoseconds = |ticks: i64| u64::try_from(base.nanoseconds(ticks)).unwrap_or(0);
        let at = nanoseconds(time - self.spec.origin);
        let stays = nanoseconds(duration.max(1)).max(1);
        let Some(stdin) = &mut self.stdin else {
            return Err(Error::file(&self.path, "is closed"));
        };
        let head = match self.has_header {
            true => Ok(()),
            false => {
                let usual = (1e9 / self.spec.rate.value()).round() as u64;
                let header = matroska::encode_header(
                    (self.spec.width, self.spec.height),
                    self.spec.pixel_format,
                    usual,
                );
                stdin.write_all(&header)
            }
        };
        self.has_header = true;
        let written = head.and_then(|()| matroska::write_frame(stdin, frame, at, stays));
        if let Err(error) = written {
            return Err(self.ffmpeg_error(&error.to_string()));
        }
        self.frames += 1;
        self.last = Some((time, duration.max(1)));
        Ok(())
    }

    /// Number of frames written so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The error if ffmpeg ended early: its last error message, else `otherwise`.
    fn ffmpeg_error(&mut self, otherwise: &str) -> Error {
        self.stdin = None;
        let _ = self.running.wait();
        self.log.finish();
        let why = self
            .log
            .last_complaint()
            .unwrap_or_else(|| otherwise.to_owned());
        let why = format!(
            "ffmpeg could not write it, after {} frames: {why}",
            self.frames
        );
        Error::file_with_fault(&self.path, why, FileFault::Program)
    }

    /// Ends the film, remuxes it if it has sound or needs an exact end, and moves it to its path.
    ///
    /// # Errors
    /// Names the file: if it has no frames, ffmpeg failed, or it cannot be moved to its path.
    pub fn finish(mut self) -> Result<EncodedClip> {
        self.stdin = None;
        if self.frames == 0 {
            return Err(Error::file(
                &self.path,
                "is not written, for there are no frames to write",
            ));
        }
        let ended = self
            .running
            .wait()
            .map_err(|error| Error::io(&self.path, &error))?;
        if !ended.success() {
            return Err(self.ffmpeg_error(&format!("it ended with {ended}")));
        }
        let mut notes = Vec::new();
        if self.spec.audio.is_some() || self.has_inexact_end() {
            if self.spec.audio.is_none() {
                let moved = std::fs::rename(self.file.unfinished_path(), self.file.draft_path());
                moved.map_err(|error| Error::io(&self.path, &error))?;
            }
            notes.extend(self.remux()?);
        }
        let stamp = self.file.finish()?;
        Ok(EncodedClip {
            frames: self.frames,
            size: self.size,
            stamp,
            notes,
        })
    }
}

impl VideoEncoder {
    /// Whether the last frame gets its exact duration only in a second pass: ffmpeg's MP4 muxer gives it the average
    /// one.
    fn has_inexact_end(&self) -> bool {
        let (_, stays) = self.last.unwrap_or_default();
        let usual = self.spec.rate.inverse().value() / self.spec.time_base.value();
        self.container.is_mp4()
            && self.programs.is_at_least(EXACT_DURATION_RELEASE)
            && (stays as f64 - usual).abs() > 0.5
    }

    /// Remuxes the draft with its sound; returns a note if the sound had to be re-encoded.
    fn remux(&self) -> Result<Option<String>> {
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

/// The ffmpeg arguments between input and output: filters, encoder, time base and tags.
fn encode_arguments(
    spec: &EncoderConfig,
    settings: &EncoderArguments,
    container: VideoContainer,
) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let (x, y) = spec.pixel_aspect;
    let aspect = match x == y {
        true => "setsar=1".to_owned(),
        false => format!("setsar={x}/{y}"),
    };
    all.extend(["-vf".into(), format!("{},{aspect}", settings.filters)]);
    all.extend(settings.arguments.iter().cloned());
    if spec.is_variable && spec.codec != VideoCodec::Ffv1 {
        all.extend(["-bf".into(), "0".into()]);
    }
    let base = spec.time_base;
    all.extend([
        "-enc_time_base".into(),
        format!("{}/{}", base.num(), base.den()),
    ]);
    if container.is_mp4() && spec.audio.is_some() {
        all.extend(["-movflags".into(), "+use_metadata_tags".into()]);
    }
    all.extend(tag_arguments(&spec.tags));
    all
}
