//! Counts and locates the images in the bytes of a file or stream: pages, frames of an animation, or concatenated
//! images. Each container has a file: [`png`], [`webp`], [`gif`], [`pnm`], [`isobmff`].
//!
//! A second image that belongs to the first (the depth or gain map behind a phone's JPEG, a thumbnail, the smaller
//! copies in an icon) does not count as a page.

mod gif;
mod isobmff;
mod png;
mod pnm;
pub(super) mod webp;

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use image::ImageFormat;

use super::foreign::{self, ForeignFormat};
use super::sniff::{self, FileKind};
use super::{jpeg, tiff};

/// The number of images in the bytes of one file; at least 1.
pub(super) fn count_in_file(bytes: &[u8]) -> u32 {
    let within = match sniff::identify_bytes(bytes) {
        FileKind::Image(ImageFormat::Tiff) => tiff::count_pages(bytes) as u32,
        FileKind::Image(ImageFormat::Gif) => gif::count_frames(bytes),
        FileKind::Image(ImageFormat::WebP) => webp::count_frames(bytes),
        FileKind::Image(ImageFormat::Png) => png::count_frames(bytes),
        FileKind::Foreign(ForeignFormat::JpegXl) => foreign::jpeg_xl_frames(bytes),
        _ => 1,
    };
    match within {
        0 | 1 if sniff::identify_bytes(bytes) != FileKind::Image(ImageFormat::Jpeg) => {
            count_in_stream(bytes)
        }
        frames => frames.max(1),
    }
}

/// Whether a file with the first bytes `head` may hold several images, so that all of it has to be read to count them.
pub(super) fn may_have_pages(head: &[u8]) -> bool {
    match sniff::identify_bytes(head) {
        FileKind::Image(ImageFormat::Tiff | ImageFormat::Gif | ImageFormat::Pnm) => true,
        FileKind::Image(ImageFormat::WebP) => {
            // The animation flag of the extended header.
            head.get(12..16) == Some(b"VP8X") && head.get(20).is_some_and(|flags| flags & 2 != 0)
        }
        // The chunk with the number of frames precedes the pictures.
        FileKind::Image(ImageFormat::Png) => png::chunks(head).any(|(kind, ..)| kind == b"acTL"),
        FileKind::Foreign(ForeignFormat::JpegXl) => true,
        _ => false,
    }
}

/// The number of images in the file at `path`; 1 if it has more than `max_bytes` bytes or cannot be read (an error that
/// decoding reports).
pub(super) fn count_in_path(path: &Path, max_bytes: u64) -> u32 {
    // A pipe can be read only once.
    let is_file = fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= max_bytes);
    // A JPEG always counts as one image and need not be read.
    let is_jpeg = |head: Vec<u8>| sniff::identify(&head) == FileKind::Image(ImageFormat::Jpeg);
    if !is_file || read_head(path).is_ok_and(is_jpeg) {
        return 1;
    }
    fs::read(path).map_or(1, |bytes| count_in_file(&bytes))
}

/// The first [`sniff::HEAD_BYTES`] bytes of a file; empty for a pipe or a device.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn read_head(path: &Path) -> std::io::Result<Vec<u8>> {
    // Opening a pipe or a device in a folder could block forever.
    if !fs::metadata(path)?.is_file() {
        return Ok(Vec::new());
    }
    let mut head = Vec::new();
    File::open(path)?
        .take(sniff::HEAD_BYTES as u64)
        .read_to_end(&mut head)?;
    Ok(head)
}

/// The number of concatenated images in a file, in formats that state their length; at least 1.
pub(super) fn count_in_stream(bytes: &[u8]) -> u32 {
    ImageStream::of_file(bytes).count().max(1) as u32
}

/// The byte ranges of concatenated images on standard input, as `ffmpeg -f image2pipe` writes them. An image in a
/// format that does not state its length ends where the next one begins.
pub(super) fn split_stream(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut end = 0;
    let stream = ImageStream {
        rest: bytes,
        searches_signatures: true,
    };
    stream
        .map(|image| {
            let start = end;
            end += image.len();
            start..end
        })
        .collect()
}

/// The bytes of image `number`, counted from 1, of the concatenated images in a file; all bytes if there is no such
/// image.
pub(super) fn image_of_stream(bytes: &[u8], number: u32) -> &[u8] {
    match number.checked_sub(1) {
        Some(before) => ImageStream::of_file(bytes)
            .nth(before as usize)
            .unwrap_or(bytes),
        None => bytes,
    }
}

/// Iterates over concatenated images. The last one extends to the end of the bytes.
struct ImageStream<'a> {
    /// The bytes from the next image on.
    rest: &'a [u8],
    /// Whether to search for the next signature if a format does not state its length.
    searches_signatures: bool,
}

impl<'a> ImageStream<'a> {
    /// The images of a file, whose bytes may contain signatures by chance.
    fn of_file(bytes: &'a [u8]) -> Self {
        ImageStream {
            rest: bytes,
            searches_signatures: false,
        }
    }
}

impl<'a> Iterator for ImageStream<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let stated = length_of_image(self.rest);
        let length = match (stated, self.searches_signatures) {
            (None, true) => next_image(self.rest),
            (stated, _) => stated,
        };
        let length = length.filter(|&length| {
            let rest = self.rest.get(length..).unwrap_or_default();
            matches!(
                sniff::identify_bytes(rest),
                FileKind::Image(_) | FileKind::OwnPicture | FileKind::Foreign(_)
            )
        });
        let (image, rest) = self.rest.split_at(length.unwrap_or(self.rest.len()));
        self.rest = rest;
        Some(image)
    }
}

/// The length in bytes of the image at the start of `bytes`; `None` for formats that do not state it.
fn length_of_image(bytes: &[u8]) -> Option<usize> {
    match sniff::identify_bytes(bytes) {
        FileKind::Image(ImageFormat::Png) | FileKind::OwnPicture => png::length(bytes),
        FileKind::Image(ImageFormat::Jpeg) => jpeg::encoded_length(bytes),
        FileKind::Image(ImageFormat::Bmp) => {
            let size = u32::from_le_bytes(*bytes.get(2..6)?.first_chunk()?) as usize;
            (size > 54).then_some(size)
        }
        FileKind::Image(ImageFormat::WebP) => {
            let size = u32::from_le_bytes(*bytes.get(4..8)?.first_chunk()?) as usize;
            size.checked_add(8 + size % 2)
        }
        FileKind::Image(ImageFormat::Pnm) => pnm::length(bytes),
        FileKind::Image(ImageFormat::Gif) => gif::length(bytes),
        FileKind::Image(ImageFormat::Farbfeld) => {
            let side = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..at + 4)?.first_chunk()?));
            let pixels = (side(8)? as usize).checked_mul(side(12)? as usize)?;
            pixels.checked_mul(8)?.checked_add(16)
        }
        _ => None,
    }
}

/// The start of the second image, for formats that do not state their length: the next signature that is too long to
/// occur in pixels by chance, or that is of the same format as the first image.
fn next_image(bytes: &[u8]) -> Option<usize> {
    const SIGNATURES: [&[u8]; 5] = [
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"GIF87a",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"\0\0\0\x0cJXL \r\n\x87\n",
    ];
    let has_own_signature: fn(&[u8]) -> bool = match sniff::identify_bytes(bytes) {
        FileKind::Image(ImageFormat::Qoi) => |rest| rest.starts_with(b"qoif"),
        // A TIFF of several pages may contain headers of others.
        FileKind::Image(ImageFormat::Tiff) if tiff::count_pages(bytes) == 1 => is_tiff_start,
        FileKind::Image(ImageFormat::Tiff | ImageFormat::Jpeg) => return None,
        FileKind::Foreign(ForeignFormat::Jpeg2000) if bytes.starts_with(b"\xff\x4f") => {
            |rest| rest.starts_with(b"\xff\x4f\xff\x51\0")
        }
        FileKind::Foreign(ForeignFormat::Heic | ForeignFormat::Avif) => {
            return isobmff::length(bytes);
        }
        _ => |_| false,
    };
    (8..bytes.len()).find(|&at| {
        let rest = &bytes[at..];
        has_own_signature(rest)
            || SIGNATURES
                .iter()
                .any(|signature| rest.starts_with(signature))
    })
}

/// Whether `rest` begins with a TIFF header whose first directory has a plausible count and first tag.
fn is_tiff_start(rest: &[u8]) -> bool {
    let little = rest.starts_with(b"II*\0");
    if !little && !rest.starts_with(b"MM\0*") {
        return false;
    }
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = rest.get(at..at.checked_add(size)?)?;
        let join = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        Some(match little {
            true => bytes.iter().rev().fold(0, join),
            false => bytes.iter().fold(0, join),
        })
    };
    let directory = number(4, 4).unwrap_or(0) as usize;
    let entries = number(directory, 2).unwrap_or(0);
    let first = directory.checked_add(2).and_then(|at| number(at, 2));
    directory >= 8 && (1..=500).contains(&entries) && matches!(first, Some(254..=256))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
