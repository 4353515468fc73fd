//! `dino` in hard conditions: numbers that are not finite, little memory, signals, leftovers of killed runs, files that
//! must not be replaced, and wrong command lines.

mod command_line;
mod files;
mod memory;
mod numbers;
#[cfg(unix)]
mod signals;

use std::fs;
use std::path::Path;

use dino::model::head::{Head, file};
use image::RgbImage;

use crate::results::as_text;

/// Writes a photo of this size and returns its path.
fn photo(folder: &Path, name: &str, (width, height): (u32, u32)) -> String {
    let path = folder.join(name);
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([x as u8, y as u8, (x ^ y) as u8])
    })
    .save(&path)
    .unwrap();
    as_text(&path).to_owned()
}

/// Writes a head to a file.
fn save(head: &Head, path: &Path) {
    fs::write(path, file::to_bytes(head).unwrap()).unwrap();
}
