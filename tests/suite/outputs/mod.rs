//! Outputs that are not plain new files: links, pipes, devices, what the shell has opened, and names that are too long
//! or not Unicode. Devices are made in folders of the tests' own.

mod names;
mod pipes;
mod targets;

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use image::{Rgb, RgbImage};
use tempfile::TempDir;

use crate::program::{Run, dino_with_model, finish, store_with_focus};

/// A temporary folder with the photo `a.png`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    photo(&folder.path().join("a.png"));
    folder
}

/// Writes a photo of 90 x 60 pixels as a PNG.
fn photo(path: &Path) {
    let photo = RgbImage::from_fn(90, 60, |x, y| Rgb([(2 * x) as u8, (3 * y) as u8, 90]));
    photo
        .save_with_format(path, image::ImageFormat::Png)
        .unwrap();
}

/// Runs `dino` in `folder` with the real backbone.
fn dino<S: AsRef<OsStr>>(folder: &TempDir, args: &[S]) -> Run {
    dino_with_model(folder.path(), args)
}

/// Runs `dino pca` on small inputs.
fn pca(folder: &TempDir, args: &[&str]) -> Run {
    dino(folder, &[&["pca", "--size", "56"], args].concat())
}

/// Runs a line of `shell` in which `$DINO` is the program.
fn in_shell(shell: &str, folder: &TempDir, line: &str) -> Run {
    let mut command = Command::new(shell);
    command
        .args(["-c", line])
        .current_dir(folder.path())
        .env("DINO", env!("CARGO_BIN_EXE_dino"))
        .env("DINO_HOME", store_with_focus());
    finish(&mut command, b"")
}

/// Decodes a picture.
fn picture(bytes: &[u8]) -> RgbImage {
    image::load_from_memory(bytes).unwrap().into_rgb8()
}
