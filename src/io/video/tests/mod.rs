//! Clips made by ffmpeg's own sources, read and written here.
#![allow(clippy::unwrap_used)]

mod audio;
mod colours;
mod decode;
mod encode;
mod faults;
mod pictures;

use std::path::{Path, PathBuf};
use std::process::Command;

use image::RgbImage;

use super::*;
use crate::error::Result;
use crate::io::inputs::PhotoDecoder;

/// A folder for the clips of a test.
struct Clips(tempfile::TempDir);

impl Clips {
    fn new() -> Self {
        Clips(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a clip with ffmpeg.
    fn make(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let path = self.at(name);
        ffmpeg(arguments, &path);
        path
    }

    /// Makes a clip of `frames` frames, each of a brightness that tells its number, filtered and encoded as `arguments`
    /// say.
    fn ramp(&self, name: &str, size: &str, rate: &str, frames: u32, arguments: &[&str]) -> PathBuf {
        let source =
            format!("color=c=black:s={size}:r={rate},format=yuv420p,geq=lum=16+8*N:cb=128:cr=128");
        let frames = frames.to_string();
        let source = ["-f", "lavfi", "-i", &source, "-frames:v", &frames];
        self.make(name, &[&source[..], arguments].concat())
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Runs ffmpeg, whose last argument is `path`.
fn ffmpeg(arguments: &[&str], path: &Path) {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments)
        .arg(path);
    let output = command
        .output()
        .expect("these tests need ffmpeg: apt install ffmpeg");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
}

/// What ffmpeg decodes of a clip, as raw bytes.
fn raw(path: &Path, pixel_format: &str) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path);
    command.args([
        "-map",
        "0:v:0",
        "-vsync",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        pixel_format,
        "-",
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// An answer of ffprobe.
fn ffprobe(path: &Path, entries: &str) -> String {
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-of",
        "compact=p=0",
        "-show_entries",
        entries,
    ]);
    let output = command.arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn frames(clip: &Clip, selection: &FrameSelection) -> Frames {
    Frames::open(clip, selection, &PhotoDecoder::plain()).unwrap()
}

/// Writes all `frames` to the file `to`.
fn written(frames: Frames, spec: EncoderConfig, to: &Path) -> EncodedClip {
    let mut encoder = VideoEncoder::new(to, spec).unwrap();
    for frame in frames {
        let frame = frame.unwrap();
        encoder
            .write(frame.rgb.as_raw(), frame.time, frame.duration)
            .unwrap();
    }
    encoder.finish().unwrap()
}

fn decode(clip: &Clip, selection: &FrameSelection) -> Vec<Frame> {
    frames(clip, selection).collect::<Result<_>>().unwrap()
}

/// The number of a frame of [`Clips::ramp`], from its brightness.
fn number(rgb: &RgbImage) -> i64 {
    let sum: u64 = rgb.as_raw().iter().map(|&value| u64::from(value)).sum();
    let mean = sum as f64 / rgb.as_raw().len() as f64;
    (mean * 219.0 / 255.0 / 8.0).round() as i64
}

fn times(clip: &Clip) -> Vec<i64> {
    clip.frames.iter().map(|frame| frame.time).collect()
}
