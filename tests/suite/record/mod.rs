//! The record of outputs: an output is skipped only if the same photo, options and model would make it again; otherwise
//! it is made again or refused. A name alone never suffices.

mod fits;
mod json_lines;
mod skipping;

use std::fs;
use std::time::SystemTime;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Run, dino_with_model};

/// Runs `dino` in `folder` with small inputs.
fn run(folder: &TempDir, args: &[&str]) -> Run {
    dino_with_model(folder.path(), &[args, &["--size", "56"]].concat())
}

/// When a file was last written.
fn modified(folder: &TempDir, name: &str) -> SystemTime {
    let met = fs::metadata(folder.path().join(name)).unwrap();
    met.modified().unwrap()
}

/// The bytes of the file `name` that the same command writes to an empty folder.
fn fresh(folder: &TempDir, args: &[&str], name: &str) -> Vec<u8> {
    let other = tempfile::tempdir().unwrap();
    let out = other.path().to_str().unwrap();
    run(folder, &[args, &["-o", out]].concat()).expect_code(0);
    fs::read(other.path().join(name)).unwrap()
}

/// The lines on stdout, as JSON.
fn lines(run: &Run) -> Vec<Value> {
    let lines = run.lines();
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
