//! How many images a file or a stream holds: pages, frames of an animation, one picture behind another.
//!
//! A second image that belongs to the first (the depth or gain map behind a phone's JPEG, a thumbnail, the smaller
//! copies in an icon) is no page.

use std::ops::Range;

use image::ImageFormat;

use super::foreign::{self, ForeignFormat};
use super::sniff::{self, FileKind};
use super::{jpeg, tiff};

/// Images in the bytes of one file; at least 1.
pub(super) fn count_in_file(bytes: &[u8]) -> u32 {
    let within = match sniff::identify_bytes(bytes) {
        FileKind::Image(ImageFormat::Tiff) => tiff::count_pages(bytes) as u32,
        FileKind::Image(ImageFormat::Gif) => gif_frames(bytes),
        FileKind::Image(ImageFormat::WebP) => webp_frames(bytes),
        FileKind::Image(ImageFormat::Png) => png_frames(bytes),
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

/// Whether a file that begins like this may hold several images, so that all of it is worth reading.
pub(super) fn may_have_pages(head: &[u8]) -> bool {
    match sniff::identify_bytes(head) {
        FileKind::Image(ImageFormat::Tiff | ImageFormat::Gif | ImageFormat::Pnm) => true,
        FileKind::Image(ImageFormat::WebP) => {
            // The flag of an animation in the extended header.
            head.get(12..16) == Some(b"VP8X") && head.get(20).is_some_and(|flags| flags & 2 != 0)
        }
        // Its number of frames stands before the pictures.
        FileKind::Image(ImageFormat::Png) => png_chunks(head).any(|(kind, ..)| kind == b"acTL"),
        FileKind::Foreign(ForeignFormat::JpegXl) => true,
        _ => false,
    }
}

/// Images that follow each other in a file, of formats that say how long they are; at least 1.
pub(super) fn count_in_stream(bytes: &[u8]) -> u32 {
    ImageStream::of_file(bytes).count().max(1) as u32
}

/// Where the images lie that follow each other on standard input, as `ffmpeg -f image2pipe` writes them. Formats that do
/// not say how long they are end where the next image begins.
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

/// The image with this number, counted from 1, of those that follow each other.
pub(super) fn image_of_stream(bytes: &[u8], number: u32) -> &[u8] {
    match number.checked_sub(1) {
        Some(before) => ImageStream::of_file(bytes)
            .nth(before as usize)
            .unwrap_or(bytes),
        None => bytes,
    }
}

/// Cuts images that follow each other apart. The last goes to the end, whatever stands behind it.
struct ImageStream<'a> {
    rest: &'a [u8],
    /// Whether the next signature is looked for where a format does not tell its length.
    searches_signatures: bool,
}

impl<'a> ImageStream<'a> {
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
        let told = length_of_image(self.rest);
        let length = match (told, self.searches_signatures) {
            (None, true) => next_image(self.rest),
            (told, _) => told,
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

/// Bytes of the image that `bytes` begin with, in formats that tell.
fn length_of_image(bytes: &[u8]) -> Option<usize> {
    match sniff::identify_bytes(bytes) {
        FileKind::Image(ImageFormat::Png) | FileKind::OwnPicture => png_length(bytes),
        FileKind::Image(ImageFormat::Jpeg) => jpeg::encoded_length(bytes),
        FileKind::Image(ImageFormat::Bmp) => {
            let size = u32::from_le_bytes(*bytes.get(2..6)?.first_chunk()?) as usize;
            (size > 54).then_some(size)
        }
        FileKind::Image(ImageFormat::WebP) => {
            let size = u32::from_le_bytes(*bytes.get(4..8)?.first_chunk()?) as usize;
            size.checked_add(8 + size % 2)
        }
        FileKind::Image(ImageFormat::Pnm) => pnm_length(bytes),
        FileKind::Image(ImageFormat::Gif) => scan_gif(bytes).1,
        FileKind::Image(ImageFormat::Farbfeld) => {
            let side = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..at + 4)?.first_chunk()?));
            let pixels = (side(8)? as usize).checked_mul(side(12)? as usize)?;
            pixels.checked_mul(8)?.checked_add(16)
        }
        _ => None,
    }
}

/// The chunks of a PNG: kind, content, and where the next begins.
fn png_chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], usize)> {
    let mut at = 8;
    std::iter::from_fn(move || {
        let head = bytes.get(at..at + 8)?;
        let length = u32::from_be_bytes(*head.first_chunk()?) as usize;
        let data = bytes.get(at + 8..at.checked_add(8 + length)?)?;
        at += 12 + length;
        Some((&head[4..8], data, at))
    })
}

fn png_length(bytes: &[u8]) -> Option<usize> {
    png_chunks(bytes)
        .find(|(kind, ..)| *kind == b"IEND")
        .map(|(_, _, end)| end)
}

/// Frames of an animation that are there, whatever number it claims to have.
fn png_frames(bytes: &[u8]) -> u32 {
    let is_animated = png_chunks(bytes)
        .take_while(|(kind, ..)| *kind != b"IDAT")
        .any(|(kind, data, _)| kind == b"acTL" && data.first_chunk() > Some(&[0, 0, 0, 1]));
    let frames = png_chunks(bytes).filter(|(kind, ..)| *kind == b"fcTL");
    match is_animated {
        true => (frames.count() as u32).max(1),
        false => 1,
    }
}

fn webp_frames(bytes: &[u8]) -> u32 {
    webp_frame_flags(bytes).len().max(1) as u32
}

/// Whether a frame before number `frame`, from 0, leaves a cleared canvas behind it, which `image-webp` forgets.
pub(super) fn webp_clears_before(bytes: &[u8], frame: usize) -> bool {
    let flags = webp_frame_flags(bytes);
    flags.iter().take(frame).any(|flags| flags & 1 == 1)
}

/// The flags of every frame of an animation.
fn webp_frame_flags(bytes: &[u8]) -> Vec<u8> {
    let mut at = 12;
    let mut all = Vec::new();
    while let Some(head) = bytes.get(at..at + 8) {
        if &head[..4] == b"ANMF" {
            // Behind place, size and duration of the frame.
            all.push(bytes.get(at + 8 + 15).copied().unwrap_or(0));
        }
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        match at.checked_add(8 + length + length % 2) {
            Some(next) => at = next,
            None => break,
        }
    }
    all
}

/// Where the image behind the first one begins, for formats that do not say how long they are: at a signature that is
/// long enough not to stand in pixels by chance, or that is the first one's own.
fn next_image(bytes: &[u8]) -> Option<usize> {
    const SIGNATURES: [&[u8]; 5] = [
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"GIF87a",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"\0\0\0\x0cJXL \r\n\x87\n",
    ];
    let own: fn(&[u8]) -> bool = match sniff::identify_bytes(bytes) {
        FileKind::Image(ImageFormat::Qoi) => |rest| rest.starts_with(b"qoif"),
        // Pages may have headers of their own.
        FileKind::Image(ImageFormat::Tiff) if tiff::count_pages(bytes) == 1 => is_tiff_start,
        FileKind::Image(ImageFormat::Tiff | ImageFormat::Jpeg) => return None,
        FileKind::Foreign(ForeignFormat::Jpeg2000) if bytes.starts_with(b"\xff\x4f") => {
            |rest| rest.starts_with(b"\xff\x4f\xff\x51\0")
        }
        FileKind::Foreign(ForeignFormat::Heic | ForeignFormat::Avif) => return boxes_length(bytes),
        _ => |_| false,
    };
    (8..bytes.len()).find(|&at| {
        let rest = &bytes[at..];
        own(rest)
            || SIGNATURES
                .iter()
                .any(|signature| rest.starts_with(signature))
    })
}

/// Whether these are a TIFF's header and a directory that begins as one does.
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

/// Bytes of the boxes of an ISO base media file up to the next that begins one.
fn boxes_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0usize;
    loop {
        let head = bytes.get(at..at.checked_add(8)?)?;
        // Of boxes only letters and digits name one.
        let is_box = head[4..8]
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || *c == b' ');
        if at > 0 && (&head[4..8] == b"ftyp" || !is_box) {
            return Some(at);
        }
        let length = match u32::from_be_bytes(*head.first_chunk()?) {
            1 => u64::from_be_bytes(*bytes.get(at + 8..at + 16)?.first_chunk()?) as usize,
            0 => return None,
            length => length as usize,
        };
        at = at.checked_add(length.max(8))?;
    }
}

/// Image descriptors of a GIF.
fn gif_frames(bytes: &[u8]) -> u32 {
    scan_gif(bytes).0
}

/// Image descriptors of a GIF, and its bytes up to and with the end mark.
fn scan_gif(bytes: &[u8]) -> (u32, Option<usize>) {
    let table = |packed: u8| match packed & 0x80 {
        0 => 0,
        _ => 3usize << ((packed & 7) + 1),
    };
    let mut at = 13 + bytes.get(10).map_or(0, |&packed| table(packed));
    let mut frames = 0;
    loop {
        match bytes.get(at) {
            Some(0x2c) => {
                let Some(&packed) = bytes.get(at + 9) else {
                    break;
                };
                frames += 1;
                at += 10 + table(packed) + 1;
            }
            Some(0x21) => at += 2,
            Some(0x3b) => return (frames.max(1), Some(at + 1)),
            _ => break,
        }
        // Data in blocks, each with its length before it.
        while let Some(&length) = bytes.get(at) {
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
    }
    (frames.max(1), None)
}

/// Bytes of a binary PNM. White space may stand between it and the next.
fn pnm_length(bytes: &[u8]) -> Option<usize> {
    let kind = *bytes.get(1)?;
    if kind == b'7' {
        return pam_length(bytes);
    }
    let numbers = match kind {
        b'4' => 2,
        b'5' | b'6' => 3,
        _ => return None,
    };
    let mut at = 2;
    let mut header = Vec::new();
    while header.len() < numbers {
        match *bytes.get(at)? {
            b'#' => at += bytes.get(at..)?.iter().position(|&c| c == b'\n')?,
            c if c.is_ascii_whitespace() => at += 1,
            _ => {
                let digits = bytes
                    .get(at..)?
                    .iter()
                    .take_while(|c| c.is_ascii_digit())
                    .count();
                let text = std::str::from_utf8(bytes.get(at..at + digits)?).ok()?;
                header.push(text.parse::<usize>().ok()?);
                at += digits;
            }
        }
    }
    let (width, height) = (header[0], header[1]);
    let row = match (kind, header.get(2)) {
        (b'4', _) => width.div_ceil(8),
        (b'5', Some(&most)) => width.checked_mul(if most > 255 { 2 } else { 1 })?,
        (_, Some(&most)) => width.checked_mul(if most > 255 { 6 } else { 3 })?,
        _ => return None,
    };
    let end = (at + 1).checked_add(row.checked_mul(height)?)?;
    let gap = bytes
        .get(end..)?
        .iter()
        .take_while(|c| c.is_ascii_whitespace())
        .count();
    Some(end + gap)
}

/// As [`pnm_length`], for the kind with named numbers.
fn pam_length(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"ENDHDR\n";
    let head = &bytes[..bytes.len().min(sniff::HEAD_BYTES)];
    let data = head.windows(END.len()).position(|window| window == END)? + END.len();
    let header = std::str::from_utf8(&head[..data]).ok()?;
    let number = |name: &str| -> Option<usize> {
        let line = header.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    let bytes_a_sample = if number("MAXVAL ")? > 255 { 2 } else { 1 };
    let samples = number("WIDTH ")?
        .checked_mul(number("HEIGHT ")?)?
        .checked_mul(number("DEPTH ")?)?;
    data.checked_add(samples.checked_mul(bytes_a_sample)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use image::{ImageFormat, Rgba, RgbaImage};

    use super::*;
    use crate::io::inputs::tests::{encode, gradient, jpeg};

    fn split(bytes: &[u8]) -> Vec<&[u8]> {
        let ranges = split_stream(bytes).into_iter();
        ranges.map(|range| &bytes[range]).collect()
    }

    #[test]
    fn pictures_that_follow_each_other_are_counted() {
        let png = encode(gradient(3, 3), ImageFormat::Png);
        for format in [
            ImageFormat::Png,
            ImageFormat::Bmp,
            ImageFormat::Pnm,
            ImageFormat::WebP,
            ImageFormat::Tiff,
            ImageFormat::Qoi,
        ] {
            let one = encode(gradient(9, 5), format);
            let other = encode(gradient(4, 7), format);
            let three = [one.clone(), other.clone(), one.clone()].concat();
            assert_eq!(count_in_file(&one), 1, "{format:?}");
            let images = split(&three);
            assert_eq!(images, [&one[..], &other, &one], "{format:?}");
            let mixed = [&one[..], &png[..], &other].concat();
            assert_eq!(split(&mixed), [&one[..], &png, &other], "{format:?}");
        }
        let (one, other) = (jpeg(&gradient(30, 20)), jpeg(&gradient(16, 40)));
        // One that was cut does not take the next with it.
        let cut = [&one[..one.len() - 20], &other[..]].concat();
        assert_eq!(split(&cut)[1..], [&other[..]]);
        let two = [one.clone(), other.clone()].concat();
        assert_eq!(count_in_stream(&two), 2);
        assert_eq!(image_of_stream(&two, 2), other);
        // In a file, what follows a JPEG belongs to it.
        assert_eq!(count_in_file(&two), 1);
    }

    #[test]
    fn frames_of_animations_are_counted() {
        let mut gif = Vec::new();
        let frame =
            |value| image::Frame::new(RgbaImage::from_pixel(4, 3, Rgba([value, 1, 2, 255])));
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
        encoder
            .encode_frames((0..5).map(|k| frame(50 * k)))
            .unwrap();
        drop(encoder);
        assert_eq!(count_in_file(&gif), 5);

        let mut apng = Vec::new();
        let mut encoder = png::Encoder::new(&mut apng, 2, 1);
        encoder.set_animated(3, 0).unwrap();
        let mut writer = encoder.write_header().unwrap();
        for value in [1, 2, 3] {
            writer.write_image_data(&[value, value]).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(count_in_file(&apng), 3);
    }

    #[test]
    fn signatures_within_a_file_begin_no_image() {
        let pages = include_bytes!("../../../tests/fixtures/photos/pages.tif");
        assert_eq!(count_in_file(pages), 3);
        assert_eq!((count_in_stream(pages), split(pages).len()), (1, 1));
        let decoder = crate::io::inputs::PhotoDecoder::plain();
        for (page, value) in [(1, 50), (2, 150), (3, 250)] {
            let image = decoder.decode_bytes(pages, Some(page), "pages").unwrap();
            assert_eq!(image.get_pixel(3, 3).0, [value, 9, 9]);
        }
        let jp2 = include_bytes!("../../../tests/fixtures/photos/plain.jp2");
        let jxl = include_bytes!("../../../tests/fixtures/photos/plain.jxl");
        for one in [&jp2[..], jxl] {
            assert_eq!((count_in_file(one), split(one).len()), (1, 1));
        }
        assert_eq!(split(&[&jp2[..], jp2].concat()), [jp2, jp2]);
    }

    #[test]
    fn damage_ends_the_count() {
        for bytes in [
            &b""[..],
            b"GIF89a",
            b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDAT",
            b"P5 9999999999 9 255\n",
        ] {
            assert_eq!(count_in_file(bytes), 1);
            assert_eq!(count_in_stream(bytes), 1);
        }
    }
}
