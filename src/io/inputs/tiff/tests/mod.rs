//! Tests with TIFFs that are built tag by tag, and those in `tests/fixtures/tiff`.

#![allow(clippy::unwrap_used)]

mod colours;
mod damage;
mod fixtures;
mod layouts;
mod samples;

use std::collections::BTreeMap;

use super::{DecodedTiffPage, decode};
use crate::io::inputs::raster::RasterSamples;

/// Builder of a TIFF with one directory.
#[derive(Clone)]
struct Builder {
    big_endian: bool,
    bigtiff: bool,
    /// Field type and values by tag.
    tags: BTreeMap<u16, (u16, Vec<u64>)>,
    chunks: Vec<Vec<u8>>,
}

impl Builder {
    /// One uncompressed strip with `samples` samples of `bits` bits per pixel.
    fn new(
        (width, height): (u64, u64),
        samples: u64,
        bits: u64,
        photometric: u64,
        pixels: &[u8],
    ) -> Self {
        let mut builder = Builder {
            big_endian: false,
            bigtiff: false,
            tags: BTreeMap::new(),
            chunks: vec![pixels.to_vec()],
        };
        for (tag, value) in [
            (256, width),
            (257, height),
            (259, 1),
            (262, photometric),
            (277, samples),
            (278, height),
        ] {
            builder = builder.tag(tag, 4, &[value]);
        }
        builder.tag(258, 3, &vec![bits; samples as usize])
    }

    fn tag(mut self, tag: u16, kind: u16, values: &[u64]) -> Self {
        self.tags.insert(tag, (kind, values.to_vec()));
        self
    }

    fn chunks(mut self, chunks: &[Vec<u8>]) -> Self {
        self.chunks = chunks.to_vec();
        self
    }

    fn big_endian(mut self) -> Self {
        self.big_endian = true;
        self
    }

    fn bigtiff(mut self) -> Self {
        self.bigtiff = true;
        self
    }

    fn number(&self, value: u64, size: usize) -> Vec<u8> {
        match self.big_endian {
            true => value.to_be_bytes()[8 - size..].to_vec(),
            false => value.to_le_bytes()[..size].to_vec(),
        }
    }

    fn build(&self) -> Vec<u8> {
        self.build_without(&[])
    }

    /// The file without these tags.
    fn build_without(&self, left_out: &[u16]) -> Vec<u8> {
        let word = if self.bigtiff { 8 } else { 4 };
        let mut bytes = if self.big_endian {
            b"MM".to_vec()
        } else {
            b"II".to_vec()
        };
        bytes.extend(self.number(if self.bigtiff { 43 } else { 42 }, 2));
        if self.bigtiff {
            bytes.extend([self.number(8, 2), self.number(0, 2)].concat());
        }
        let header = bytes.len() + word;
        let offsets = self.chunks.iter().scan(header as u64, |at, chunk| {
            *at += chunk.len() as u64;
            Some(*at - chunk.len() as u64)
        });
        let mut tags = self.tags.clone();
        let counts = self.chunks.iter().map(|chunk| chunk.len() as u64);
        tags.entry(273).or_insert((4, offsets.collect()));
        tags.entry(279).or_insert((4, counts.collect()));
        tags.retain(|tag, _| !left_out.contains(tag));
        let pixels = self.chunks.concat();
        let directory = header + pixels.len();
        bytes.extend(self.number(directory as u64, word));
        bytes.extend(pixels);
        let (count, entry) = if self.bigtiff { (8, 20) } else { (2, 12) };
        let mut behind = directory + count + tags.len() * entry + word;
        let mut outside = Vec::new();
        bytes.extend(self.number(tags.len() as u64, count));
        for (tag, (kind, values)) in &tags {
            let size = match kind {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 => 4,
                _ => 8,
            };
            let mut value: Vec<u8> = values
                .iter()
                .flat_map(|&value| self.number(value, size))
                .collect();
            bytes.extend(
                [
                    self.number((*tag).into(), 2),
                    self.number((*kind).into(), 2),
                ]
                .concat(),
            );
            bytes.extend(self.number(values.len() as u64, word));
            match value.len() <= word {
                true => {
                    value.resize(word, 0);
                    bytes.extend(value);
                }
                false => {
                    bytes.extend(self.number(behind as u64, word));
                    behind += value.len();
                    outside.extend(value);
                }
            }
        }
        bytes.extend(self.number(0, word));
        bytes.extend(outside);
        bytes
    }
}

/// Text as the values of a tag of type 2.
fn ascii(text: &str) -> Vec<u64> {
    text.bytes().chain([0]).map(u64::from).collect()
}

fn read(bytes: &[u8]) -> DecodedTiffPage {
    let decoded = decode(bytes, 0, None, |_| Ok(())).unwrap();
    assert!(decoded.raster.is_whole());
    decoded
}

fn refuse(bytes: &[u8]) -> String {
    decode(bytes, 0, None, |_| Ok(())).unwrap_err()
}

/// The numbers, whatever their type.
fn values(decoded: &DecodedTiffPage) -> Vec<f64> {
    match &decoded.raster.samples {
        RasterSamples::U8(values) => values.iter().map(|&value| value.into()).collect(),
        RasterSamples::U16(values) => values.iter().map(|&value| value.into()).collect(),
        RasterSamples::F32(values) => values.iter().map(|&value| value.into()).collect(),
    }
}

/// Numbers packed most significant bit first, each row of `row` from a byte of its own.
fn pack(numbers: &[u64], bits: u64, row: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in numbers.chunks(row) {
        let mut string: Vec<bool> = row
            .iter()
            .flat_map(|number| (0..bits).rev().map(move |bit| number >> bit & 1 == 1))
            .collect();
        string.resize(string.len().next_multiple_of(8), false);
        bytes.extend(string.chunks(8).map(|byte| {
            byte.iter()
                .fold(0u8, |byte, &bit| byte << 1 | u8::from(bit))
        }));
    }
    bytes
}

/// 5 x 3 RGB pixels of 8 bits, all different.
fn rgb() -> Vec<u8> {
    (0..45).map(|index| (index * 5 + 3) as u8).collect()
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    bytes.iter().map(|&byte| byte.into()).collect()
}
