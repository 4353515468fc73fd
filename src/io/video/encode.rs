//! Frames to a clip, each with the very time that it is given.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};

use super::clip::Clip;
use super::container::VideoContainer;
use super::encoders::{EncoderArguments, RawPixelFormat, VideoCodec};
use super::ffmpeg::{FfmpegPrograms, file_argument, spawn};
use super::ffmpeg_log::FfmpegLog;
use super::matroska;
use super::ratio::Ratio;
use super::remux::{fast_start_arguments, time_scale_arguments};
use super::times::FrameSelection;
use crate::error::{Error, FileFault, Result};
use crate::system::child_process::ChildProcess;
use crate::system::files::{ExternalFile, FileStamp};

/// What is to be written.
#[derive(Debug, Clone)]
pub struct EncoderConfig {
    /// Width of the frames in pixels. Where the codec halves colours, an odd last column is cut off what is written.
    pub width: u32,
    /// Height of the frames in pixels, likewise.
    pub height: u32,
    /// What a frame's bytes are.
    pub pixel_format: RawPixelFormat,
    /// How they are encoded.
    pub codec: VideoCodec,
    /// Seconds of a tick, in which times are given.
    pub time_base: Ratio,
    /// The tick that becomes 0.
    pub origin: i64,
    /// Frames a second, on average: two seconds of them lie between key frames.
    pub rate: Ratio,
    /// Whether frames stay for different times: then none is coded by those behind it, for only so does ffmpeg write the
    /// exact end of the last.
    pub is_variable: bool,
    /// Width to height of a pixel.
    pub pixel_aspect: (u32, u32),
    /// Names and values that the file carries; Matroska writes names in capitals.
    pub tags: Vec<(String, String)>,
    /// The sound that goes with it.
    pub audio: Option<AudioTrack>,
}

impl EncoderConfig {
    /// Pictures in H.264 of the frames that `selection` selects of `clip`, with their times.
    pub fn from_clip(clip: &Clip, selection: &FrameSelection) -> Self {
        let plan = selection.plan(&clip.frames, clip.time_base, clip.origin);
        let durations = || plan.iter().map(|planned| planned.duration);
        let span = durations().min().zip(durations().max());
        EncoderConfig {
            width: clip.width,
            height: clip.height,
            pixel_format: RawPixelFormat::Rgb24,
            codec: VideoCodec::default(),
            time_base: clip.time_base,
            // The clip's beginning, or the first frame where a later one than the clip's first was selected.
            origin: match plan.first() {
                Some(first) if first.index > 0 => first.time,
                _ => clip.origin,
            },
            rate: selection.rate(clip.rate),
            // But for what rounding to ticks makes of it.
            is_variable: span.is_some_and(|(shortest, longest)| longest - shortest > 1),
            pixel_aspect: clip.pixel_aspect,
            tags: Vec::new(),
            audio: None,
        }
    }
}

/// A track of sound, to be copied from where the clip begins to where its last frame ends.
#[derive(Debug, Clone)]
pub struct AudioTrack {
    pub(super) path: PathBuf,
    pub(super) stream: u32,
    pub(super) codec: String,
    /// When the clip begins that it is from, in ticks.
    pub(super) origin: i64,
}

impl AudioTrack {
    /// That of `clip`; none if it has none.
    pub fn of(clip: &Clip) -> Option<Self> {
        clip.audio.as_ref().map(|audio| AudioTrack {
            path: clip.path.clone(),
            stream: audio.stream,
            codec: audio.codec.clone(),
            origin: clip.origin,
        })
    }
}

/// Writes a clip through a child ffmpeg. It appears, whole, when it is [finished](VideoEncoder::finish), however few frames it
/// has by then; what is dropped before leaves nothing behind.
#[derive(Debug)]
pub struct VideoEncoder {
    pub(super) path: PathBuf,
    pub(super) spec: EncoderConfig,
    pub(super) container: VideoContainer,
    pub(super) programs: &'static FfmpegPrograms,
    pub(super) file: ExternalFile,
    /// None once its input is closed.
    stdin: Option<ChildStdin>,
    running: ChildProcess,
    log: FfmpegLog,
    size: (u32, u32),
    has_header: bool,
    frames: u64,
    /// The time and the duration of the last frame.
    pub(super) last: Option<(i64, i64)>,
}

/// A clip that was written.
#[derive(Debug, Clone)]
pub struct EncodedClip {
    /// Frames in it.
    pub frames: u64,
    /// Width and height of what was written.
    pub size: (u32, u32),
    /// Of the file; none where it was written into something that could not be replaced.
    pub stamp: Option<FileStamp>,
    /// Sentences about what its user may want to know.
    pub notes: Vec<String>,
}

impl VideoEncoder {
    /// Begins the clip `path`, whose ending tells what kind of file it is.
    ///
    /// # Errors
    /// Names the file or the codec: if ffmpeg or the encoder is missing, the ending is unknown, or no file can be made
    /// there.
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

    /// Adds a frame that appears at `time` and stays for `duration`, in ticks of the time base.
    ///
    /// # Errors
    /// Names the file, if ffmpeg gave up, with its words; if the frame does not fill its size, or does not come behind the
    /// one before it.
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
            // No file begins before its first frame.
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

    /// Frames that were written so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Why ffmpeg ended, or did not do what it should.
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

    /// Ends the clip with the frames that it has, and puts it in its place.
    ///
    /// # Errors
    /// Names the file: if it has no frames, ffmpeg failed, or it cannot be put there.
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

/// How ffmpeg is told of names and values that a file carries.
pub(super) fn tag_arguments(tags: &[(String, String)]) -> Vec<String> {
    let named = tags.iter();
    let named = named.flat_map(|(name, value)| ["-metadata".into(), format!("{name}={value}")]);
    named.collect()
}
