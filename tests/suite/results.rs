//! Reads the outputs of a run: lines of JSON, pictures and arrays.

use std::path::Path;

use image::RgbImage;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Run, files_below};

/// A path as text, for an argument.
pub fn as_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The picture at `path`.
pub fn open_picture(path: impl AsRef<Path>) -> RgbImage {
    image::open(path.as_ref())
        .unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
        .into_rgb8()
}

/// The shape and the values of a float32 `.npy` file.
pub fn read_npy(path: impl AsRef<Path>) -> (Vec<u64>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let file = npyz::NpyFile::new(&bytes[..]).unwrap();
    (file.shape().to_vec(), file.into_vec().unwrap())
}

/// The first line on stdout, as JSON.
pub fn first_json(run: &Run) -> Value {
    serde_json::from_str(&run.lines()[0]).unwrap()
}

/// All lines on stdout, as JSON.
pub fn json_lines(run: &Run) -> Vec<Value> {
    run.lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Names of the files below `dino-out`, sorted.
pub fn names_in_dino_out(folder: &TempDir) -> Vec<String> {
    files_below(&folder.path().join("dino-out"))
}
