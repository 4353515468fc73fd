//! `dino train` and `dino eval` as a user runs them, with the real backbone, on made-up data sets whose answers are
//! known and on real frames where they are available.

mod data;
mod learning;
mod starting;
mod validation;

use std::fs;
use std::path::Path;

use dino::io::output::{PngPixels, write_png};
use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::program::{Run, dino_with_model};

/// Width and height of the photos of [`blocks`] and [`ramps`].
pub const SIDE: u32 = 112;

/// Writes a greyscale PNG.
pub fn write_grey(path: &Path, size: (u32, u32), pixels: PngPixels<'_>) {
    let mut bytes = Vec::new();
    write_png(&mut bytes, size, pixels, &[]).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Makes a data set of `count` pictures of a red block on blue, with masks of half their size in which 1 is red.
pub fn blocks(folder: &Path, count: u32) {
    for part in ["images", "masks"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    for i in 0..count {
        let (left, top) = (14 * (i % 3), 14 * (i * 5 % 4));
        let inside =
            |x: u32, y: u32| (left..left + 56).contains(&x) && (top..top + 56).contains(&y);
        let photo = RgbImage::from_fn(SIDE, SIDE, |x, y| match inside(x, y) {
            true => Rgb([200, 40, 30]),
            false => Rgb([30, 60, 180]),
        });
        photo.save(folder.join(format!("images/{i}.png"))).unwrap();
        let half = SIDE / 2;
        let ids: Vec<u8> = (0..half * half)
            .map(|at| u8::from(inside(at % half * 2, at / half * 2)))
            .collect();
        let mask = folder.join(format!("masks/{i}.png"));
        write_grey(&mask, (half, half), PngPixels::Gray8(&ids));
    }
    fs::write(folder.join("classes.json"), r#"["ground", "block"]"#).unwrap();
}

/// Makes a data set of `count` pictures that get brighter to the right, where depth rises from 1 m to 4 m.
pub fn ramps(folder: &Path, count: u32) {
    for part in ["images", "depth"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    for i in 0..count {
        let photo = RgbImage::from_fn(SIDE, SIDE, |x, _| Rgb([(x * 2) as u8, 10 * i as u8, 90]));
        photo.save(folder.join(format!("images/{i}.png"))).unwrap();
        let depth: Vec<u16> = (0..SIDE * SIDE)
            .map(|at| (1000 + 3000 * (at % SIDE) / SIDE) as u16)
            .collect();
        let path = folder.join(format!("depth/{i}.png"));
        write_grey(&path, (SIDE, SIDE), PngPixels::Gray16(&depth));
    }
}

/// Runs `dino train` with few, fast steps and a feature cache in `folder`.
pub fn train(folder: &Path, task: &str, data: &str, head: &str, more: &[&str]) -> Run {
    let mut args = vec![
        "train", task, data, "-o", head, "--size", "112", "--cache", "cache", "--blocks", "2,11",
        "--batch", "128", "--rate", "0.01",
    ];
    args.extend(more);
    dino_with_model(folder, &args)
}

/// The JSON figures that `dino eval` gives.
pub fn figures(folder: &Path, args: &[&str]) -> Value {
    let mut all = vec!["eval"];
    all.extend(args);
    all.extend(["--json", "-"]);
    let run = dino_with_model(folder, &all).expect_code(0);
    serde_json::from_slice(&run.stdout).unwrap()
}

/// A temporary folder with the data set `toy` of eight [`blocks`].
fn toy() -> TempDir {
    let folder = tempdir().unwrap();
    blocks(&folder.path().join("toy"), 8);
    folder
}

/// The tensor data of a head file, after its header.
pub fn tensors(bytes: &[u8]) -> &[u8] {
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    &bytes[8 + header..]
}
