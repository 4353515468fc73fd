//! Clips: output films have the frames and times of their sources, and their files hold the exact numbers. Clips are
//! made from ffmpeg's own sources and from the samples; tests that only need frames run on a constant network.

mod across_frames;
mod frames;
mod refusals;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Run, dino_with_model};

/// Runs ffmpeg in `folder`.
fn ffmpeg(folder: &Path, args: &[&str]) {
    let mut command = Command::new("ffmpeg");
    command
        .current_dir(folder)
        .args(["-v", "error", "-nostdin", "-y"])
        .args(args);
    let output = command.output().expect("ffmpeg is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Makes the clip `to` from one of ffmpeg's own sources.
pub fn make(folder: &Path, source: &str, options: &[&str], to: &str) {
    ffmpeg(
        folder,
        &[&["-f", "lavfi", "-i", source], options, &[to]].concat(),
    );
}

/// Width, height, and the times of the frames in seconds, by ffprobe.
pub fn probe(path: &Path) -> (u64, u64, Vec<f64>) {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "v:0",
            "-of",
            "json",
            "-show_entries",
        ])
        .args(["stream=width,height:frame=best_effort_timestamp_time"])
        .arg(path)
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let stream = &told["streams"][0];
    let time = |frame: &Value| {
        frame["best_effort_timestamp_time"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let times = told["frames"].as_array().unwrap().iter().map(time);
    let side = |key: &str| stream[key].as_u64().unwrap();
    (side("width"), side("height"), times.collect())
}

/// The bytes of all frames in one pixel format.
pub fn raw(path: &Path, format: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(path)
        .args(["-f", "rawvideo", "-pix_fmt", format, "-"])
        .output()
        .unwrap();
    output.stdout
}

/// A temporary folder.
pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Runs `dino` in `folder` with the real backbone.
pub fn dino(folder: &Path, args: &[&str]) -> Run {
    dino_with_model(folder, args)
}

/// Runs `dino` with a constant network on small inputs, which takes little time.
pub fn fast(folder: &Path, args: &[&str]) -> Run {
    dino(
        folder,
        &[args, &["--device", "null", "--size", "56"]].concat(),
    )
}

/// Compares the times of frames, in seconds.
pub fn same_times(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
}
