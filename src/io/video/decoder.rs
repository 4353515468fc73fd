//! Decoding through a child ffmpeg: raw RGB is read from a pipe, and the time of each frame from the log of the filter
//! `showinfo`.

use std::io::{ErrorKind, Read};
use std::process::{ChildStdout, Stdio};

use image::RgbImage;

use super::animation::flatten;
use super::clip::{Clip, VideoStream};
use super::colour::{FfmpegFeatures, RgbFilters};
use super::ffmpeg::{FfmpegPrograms, file_argument, spawn};
use super::ffmpeg_log::{FfmpegLog, LoggedFrame};
use super::times::{FrameSelection, PlannedFrame};
use crate::error::{Error, FileFault, Result};
use crate::io::inputs::Background;
use crate::system::child_process::ChildProcess;
use crate::system::interrupt;

/// ffmpeg seeks to a selection that begins at least this many seconds after the first frame; for earlier ones, decoding
/// from the beginning costs little.
const MIN_SEEK_SECONDS: f64 = 8.0;

/// A child ffmpeg that decodes.
#[derive(Debug)]
pub(super) struct FfmpegDecoder {
    clip: Clip,
    selection: FrameSelection,
    /// The first and the last frame that are wanted.
    span: (PlannedFrame, PlannedFrame),
    running: ChildProcess,
    stdout: ChildStdout,
    log: FfmpegLog,
    decoded: u64,
    has_sought: bool,
    /// The colour behind transparent pixels.
    background: Background,
    /// Width and height of the first frame before scaling.
    size: Option<(u32, u32)>,
    /// Number of frames of another size, which ffmpeg scaled.
    resized: u64,
}

/// How a decoder ended.
#[derive(Debug, Clone)]
pub(super) struct DecoderExit {
    /// Why it ended before the last frame; `None` if it did not.
    pub failure: Option<String>,
    /// Number of error lines in its log, and one of them.
    pub error_lines: Option<(u64, String)>,
}

impl FfmpegDecoder {
    /// Starts ffmpeg on the frames that `selection` selects of `clip`, from the first to the last of `span`.
    ///
    /// # Errors
    /// Names the clip, if ffmpeg is missing or cannot be started.
    pub fn start(
        clip: &Clip,
        stream: &VideoStream,
        selection: &FrameSelection,
        span: (PlannedFrame, PlannedFrame),
        background: Background,
    ) -> Result<Self> {
        let seek = seek_time(clip, stream, span.0.time);
        FfmpegDecoder::launch(clip, stream, selection, span, (seek, background))
    }

    fn launch(
        clip: &Clip,
        stream: &VideoStream,
        selection: &FrameSelection,
        span: (PlannedFrame, PlannedFrame),
        (seek, background): (Option<f64>, Background),
    ) -> Result<Self> {
        let programs = FfmpegPrograms::find(&clip.path)?;
        let mut command = programs.ffmpeg();
        command.args(["-v", "level+info", "-copyts"]);
        if let Some(seconds) = seek {
            command.args([
                "-seek_timestamp",
                "1",
                "-noaccurate_seek",
                "-ss",
                &format!("{seconds:.6}"),
            ]);
        }
        if !stream.autorotates {
            command.arg("-noautorotate");
        }
        command.arg("-i").arg(file_argument(&clip.path));
        let mut filters = selection.filters(span.0.time, span.1.time, clip.time_base);
        // Checksums take time; older releases cannot turn them off.
        filters.push(match programs.is_at_least((4, 3)) {
            true => "showinfo=checksum=0".into(),
            false => "showinfo".into(),
        });
        filters.push(clip_rgb_filters(clip, programs).filters);
        command.args([
            "-map",
            &format!("0:{}", stream.index),
            "-vf",
            &filters.join(","),
        ]);
        command.args(programs.passthrough());
        let base = clip.time_base;
        command.args(["-enc_time_base", &format!("{}/{}", base.num(), base.den())]);
        let format = if clip.has_alpha() { "rgba" } else { "rgb24" };
        command.args(["-f", "rawvideo", "-pix_fmt", format, "pipe:1"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let failed = |error: std::io::Error| {
            Error::file_with_fault(
                &clip.path,
                format!("ffmpeg cannot be started: {error}"),
                FileFault::Program,
            )
        };
        let mut running = spawn(command).map_err(failed)?;
        let (Some(stdout), Some(stderr)) = (running.take_stdout(), running.take_stderr()) else {
            return Err(failed(ErrorKind::BrokenPipe.into()));
        };
        Ok(FfmpegDecoder {
            clip: clip.clone(),
            selection: *selection,
            span,
            running,
            stdout,
            log: FfmpegLog::read(stderr).map_err(failed)?,
            decoded: 0,
            has_sought: seek.is_some(),
            background,
            size: None,
            resized: 0,
        })
    }

    /// The next frame, with its time in ticks if the file has one; `None` after the last.
    ///
    /// # Errors
    /// Names the clip, if the size or time base of the first frame differs from the clip's.
    pub fn next(&mut self, stream: &VideoStream) -> Result<Option<(Option<i64>, RgbImage)>> {
        let Some((shown, image)) = self.read_frame()? else {
            return Ok(None);
        };
        if self.decoded == 0 {
            if self.has_sought && shown.time != Some(self.span.0.time) {
                // Seeking missed the frame, so the file's index is wrong: decode from the beginning.
                let clip = self.clip.clone();
                let how = (None, self.background);
                *self = FfmpegDecoder::launch(&clip, stream, &self.selection, self.span, how)?;
                return self.next(stream);
            }
            self.check_first_frame(shown)?;
        }
        self.decoded += 1;
        self.resized += u64::from(self.size != Some(shown.size));
        Ok(Some((shown.time, image)))
    }

    fn check_first_frame(&mut self, shown: LoggedFrame) -> Result<()> {
        self.size = Some(shown.size);
        let (width, height) = shown.size;
        let base = self.clip.time_base;
        let why = match self.log.time_base() {
            _ if shown.size != self.clip.size() => format!(
                "ffmpeg decodes it at {width} x {height}, where ffprobe finds {} x {}",
                self.clip.width, self.clip.height
            ),
            Some((num, den)) if num * base.den() != den * base.num() => {
                format!("ffmpeg counts its time in {num}/{den} s, ffprobe in {base} s")
            }
            _ => return Ok(()),
        };
        let why = format!("{why}; install one whole release of ffmpeg, or convert the clip first");
        Err(Error::file_with_fault(
            &self.clip.path,
            why,
            FileFault::Program,
        ))
    }

    fn read_frame(&mut self) -> Result<Option<(LoggedFrame, RgbImage)>> {
        let (width, height) = self.clip.size();
        let channels = if self.clip.has_alpha() { 4 } else { 3 };
        let mut pixels = vec![0; width as usize * height as usize * channels];
        let mut filled = 0;
        while filled < pixels.len() {
            match self.stdout.read(&mut pixels[filled..]) {
                Ok(0) => return Ok(None),
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => interrupt::check()?,
                Err(error) => return Err(Error::io(&self.clip.path, &error)),
            }
        }
        // The filter logs a frame before it is written.
        let shown = self.log.next_frame();
        if channels == 3 {
            return Ok(shown.zip(RgbImage::from_raw(width, height, pixels)));
        }
        let flat = flatten(&pixels, (width, height), self.background);
        let flat =
            flat.map_err(|why| Error::file_with_fault(&self.clip.path, why, FileFault::Damaged))?;
        Ok(shown.map(|shown| (shown, flat)))
    }

    /// Frames that were scaled to the first one's size.
    pub fn resized_frames(&self) -> u64 {
        self.resized
    }

    /// Ends ffmpeg: waits for it if `is_over`, else kills it.
    pub fn stop(mut self, is_over: bool) -> DecoderExit {
        let mut failure = None;
        if is_over {
            match self.running.wait() {
                Ok(status) if status.success() => {}
                Ok(status) => {
                    self.log.finish();
                    failure = Some(
                        self.log
                            .last_complaint()
                            .unwrap_or_else(|| format!("it ended with {status}")),
                    );
                }
                Err(error) => failure = Some(error.to_string()),
            }
            self.log.finish();
        }
        let count = self.log.error_line_count();
        DecoderExit {
            failure,
            error_lines: self.log.last_complaint().map(|last| (count, last)),
        }
    }
}

/// The filters that convert the frames of `clip` to RGB, or RGBA where it has alpha.
pub(super) fn clip_rgb_filters(clip: &Clip, programs: &FfmpegPrograms) -> RgbFilters {
    let can = FfmpegFeatures {
        has_tone_mapping: programs.has_filter("zscale") && programs.has_filter("tonemap"),
        has_scaler_threads: programs.is_at_least((5, 0)),
    };
    let mut colours = clip.colour.rgb_filters(clip.size(), can);
    if clip.has_alpha() {
        colours.filters = colours.filters.replace("format=rgb24", "format=rgba");
    }
    colours
}

/// The time in seconds to seek to so that the frame at tick `first` can be decoded; `None` near the beginning of the
/// clip or without an earlier key frame.
fn seek_time(clip: &Clip, stream: &VideoStream, first: i64) -> Option<f64> {
    let base = clip.time_base.value();
    let beginning = clip.frames.first()?.time;
    if (first - beginning) as f64 * base < MIN_SEEK_SECONDS {
        return None;
    }
    let before = stream.keyframes.partition_point(|&key| key <= first);
    // One key frame further back: not every frame flagged as key can be decoded by itself.
    let key = *stream.keyframes.get(before.checked_sub(2)?)?;
    Some(key as f64 * base)
}
