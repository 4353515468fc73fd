//! Tests of inputs: unusual files, names and folders.

#![allow(clippy::unwrap_used)]

mod archives;
mod collect;
mod decode;
mod orientation;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};

/// A smooth picture in which every corner has its own colour.
pub fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([
            (x * 255 / width.max(1)) as u8,
            (y * 255 / height.max(1)) as u8,
            90,
        ])
    })
}

pub fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 100)
        .encode_image(picture)
        .unwrap();
    bytes
}

pub fn encode(picture: impl Into<image::DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}
