//! `dino segment` with a made-up head, and with clusters, on real photos with the real backbone.

mod clustering;
mod coco;
mod cutouts;
mod labels;
mod outputs;

use std::path::Path;

use dino::model::head::linear::Dense;
use dino::model::head::{Class, Head, HeadNetwork, HeadTask, LinearHead, file};
use dino::model::weights::Store;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::made_up_heads::made_up_meta;
use crate::program::{Run, dino_with_model, sample, store_with_focus};
use crate::results::open_picture;

/// The classes of the made-up head.
const NAMES: [&str; 4] = ["person", "traffic light", "car", "sky"];

/// A temporary folder with `head.safetensors`: the classes [`NAMES`], with arbitrary but fixed weights on the last
/// block.
pub fn folder_with_head() -> TempDir {
    folder_with_classes(NAMES)
}

/// The same as [`folder_with_head`], with other class names.
pub fn folder_with_classes(names: [&str; 4]) -> TempDir {
    let folder = tempdir().unwrap();
    let record = Store::at(store_with_focus())
        .get("vits14-focus")
        .unwrap()
        .unwrap();
    let classes: Vec<Class> = (0..)
        .zip(names)
        .map(|(i, name): (u8, _)| Class {
            name: name.into(),
            color: [60 * i, 255 - 60 * i, 128],
        })
        .collect();
    let task = HeadTask::Segment { classes };
    let meta = made_up_meta(task, &record.name, &record.fingerprint);
    let inputs = 384;
    // A linear congruential generator is random enough.
    let mut state = 1u32;
    let weight = (0..inputs * NAMES.len()).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as f32 / 65_536.0 - 0.5
    });
    let output = Dense {
        inputs,
        weight: weight.map(|w| 0.1 * w).collect(),
        bias: vec![0.0; NAMES.len()],
    };
    let head = Head {
        meta,
        network: HeadNetwork::Linear(LinearHead::new(None, output)),
    };
    let bytes = file::to_bytes(&head).unwrap();
    std::fs::write(folder.path().join("head.safetensors"), bytes).unwrap();
    folder
}

/// Runs `dino segment` with the made-up head.
fn segment(folder: &Path, args: &[&str]) -> Run {
    let head = ["segment", "--head", "head.safetensors"];
    dino_with_model(folder, &[&head, args].concat())
}

/// Runs `dino segment` without a head, on small inputs.
fn clusters(folder: &Path, args: &[&str]) -> Run {
    dino_with_model(folder, &[&["segment", "--size", "112"], args].concat())
}

/// Decodes a COCO run-length string to a mask, row by row; written from its description, independently of the encoder.
fn decode_rle(counts: &str, height: usize, width: usize) -> Vec<bool> {
    let (mut numbers, mut bytes) = (Vec::<i64>::new(), counts.bytes());
    while let Some(mut byte) = bytes.next() {
        let (mut number, mut shift) = (0i64, 0);
        loop {
            let group = i64::from(byte) - 48;
            number |= (group & 31) << shift;
            shift += 5;
            if group & 32 == 0 {
                if group & 16 != 0 {
                    number |= -1 << shift;
                }
                break;
            }
            byte = bytes.next().unwrap();
        }
        if numbers.len() > 2 {
            number += numbers[numbers.len() - 2];
        }
        numbers.push(number);
    }
    assert_eq!(numbers.iter().sum::<i64>() as usize, height * width);
    let runs = numbers.iter().enumerate();
    let down: Vec<bool> = runs
        .flat_map(|(i, &n)| std::iter::repeat_n(i % 2 == 1, n as usize))
        .collect();
    (0..height * width)
        .map(|i| down[i % width * height + i / width])
        .collect()
}

/// Reads a JSON file.
fn read_json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The class ids of a file of `--save npy`, and the width of the map.
fn ids(path: impl AsRef<Path>) -> (Vec<u8>, usize) {
    let bytes = std::fs::read(path).unwrap();
    let array = npyz::NpyFile::new(&bytes[..]).unwrap();
    let width = array.shape()[1] as usize;
    (array.into_vec().unwrap(), width)
}

/// A JSON number as an integer.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// The elements of a JSON array.
fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// Writes a photo of `samples/`, scaled down to 96 x 72 pixels.
fn small(name: &str, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let small = image::imageops::thumbnail(&open_picture(sample(name)), 96, 72);
    small.save(path).unwrap();
}
