//! What holds for a run over photos, whatever the command: names, skipping, failures, interruption.

mod failures;
mod names;
mod outputs;
#[cfg(unix)]
mod signals;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use image::{ImageFormat, RgbImage};
use tempfile::TempDir;

use crate::program::{Run, command, finish, store_with_focus};

/// A temporary folder with these photos in it.
fn photos(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        photo(&folder.path().join(name));
    }
    folder
}

/// Writes a photo of 90 x 60 pixels in the format of its file name.
fn photo(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let format = ImageFormat::from_path(path).unwrap_or(ImageFormat::Png);
    picture().save_with_format(path, format).unwrap();
}

/// The pixels of every photo.
fn picture() -> RgbImage {
    RgbImage::from_fn(90, 60, |x, y| {
        let inside = (x as i32 - 30).pow(2) + (y as i32 - 30).pow(2) < 400;
        image::Rgb([
            if inside { 220 } else { x as u8 },
            (3 * y) as u8,
            ((x * y) % 97) as u8,
        ])
    })
}

/// `dino pca` on small inputs, not run yet.
fn pca_command<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Command {
    let mut command = command(&["pca", "--offline", "--size", "56"]);
    command
        .args(args)
        .current_dir(folder)
        .env("DINO_HOME", store_with_focus());
    command
}

/// Runs `dino pca` on small inputs.
fn pca<S: AsRef<OsStr>>(folder: &TempDir, args: &[S]) -> Run {
    finish(&mut pca_command(folder.path(), args), b"")
}
