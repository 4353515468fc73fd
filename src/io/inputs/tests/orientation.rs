//! Photos stored sideways are decoded upright, in every format with an orientation.

use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage};

use super::{gradient, jpeg};
use crate::io::inputs::PhotoDecoder;

/// Where the stored image holds the upright pixel (u, v), after the figures of the EXIF standard; `w` and `h` are
/// the last column and row of the stored image.
fn stored_at(orientation: u8, (u, v): (u32, u32), (w, h): (u32, u32)) -> (u32, u32) {
    match orientation {
        1 => (u, v),
        2 => (w - u, v),
        3 => (w - u, h - v),
        4 => (u, h - v),
        5 => (v, u),
        6 => (v, h - u),
        7 => (w - v, h - u),
        8 => (w - v, u),
        _ => unreachable!(),
    }
}

/// The stored image for an upright photo and an orientation.
fn turn(upright: &RgbImage, orientation: u8) -> RgbImage {
    let (width, height) = upright.dimensions();
    let (width, height) = if orientation >= 5 {
        (height, width)
    } else {
        (width, height)
    };
    let mut stored = RgbImage::new(width, height);
    for (u, v, pixel) in upright.enumerate_pixels() {
        let (x, y) = stored_at(orientation, (u, v), (width - 1, height - 1));
        stored.put_pixel(x, y, *pixel);
    }
    stored
}

/// A TIFF header, and a directory that holds nothing but the orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    [b"II*\0\x08\0\0\0\x01\0".as_slice(), &entry, &[0; 4]].concat()
}

fn check(name: &str, orientation: u8, bytes: &[u8], upright: &RgbImage, tolerance: u8) {
    let decoded = PhotoDecoder::plain()
        .decode_bytes(bytes, None, "photo")
        .unwrap();
    assert_eq!(
        decoded.dimensions(),
        upright.dimensions(),
        "{name} {orientation}"
    );
    let worst = decoded
        .iter()
        .zip(upright.iter())
        .map(|(a, b)| a.abs_diff(*b))
        .max()
        .unwrap();
    assert!(worst <= tolerance, "{name} {orientation}: off by {worst}");
}

#[test]
fn jpeg_in_all_eight_ways() {
    let upright = gradient(48, 32);
    for orientation in 1..=8 {
        let plain = jpeg(&turn(&upright, orientation));
        let payload = [b"Exif\0\0".as_slice(), &exif(orientation)].concat();
        let length = (payload.len() as u16 + 2).to_be_bytes();
        let bytes = [&plain[..2], &[0xff, 0xe1], &length, &payload, &plain[2..]].concat();
        check("JPEG", orientation, &bytes, &upright, 12);
    }
}

#[test]
fn png_and_webp_in_all_eight_ways() {
    let upright = gradient(5, 3);
    for orientation in 1..=8 {
        let stored = turn(&upright, orientation);
        let (width, height) = stored.dimensions();
        let mut png = Vec::new();
        let mut encoder = PngEncoder::new(&mut png);
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        encoder
            .write_image(&stored, width, height, ExtendedColorType::Rgb8)
            .unwrap();
        check("PNG", orientation, &png, &upright, 0);

        let mut webp = Vec::new();
        let mut encoder = WebPEncoder::new_lossless(&mut webp);
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        encoder
            .write_image(&stored, width, height, ExtendedColorType::Rgb8)
            .unwrap();
        check("WebP", orientation, &webp, &upright, 0);
    }
}

#[test]
fn tiff_in_all_eight_ways() {
    let upright = gradient(5, 3);
    for orientation in 1..=8 {
        check(
            "TIFF",
            orientation,
            &tiff(&turn(&upright, orientation), orientation),
            &upright,
            0,
        );
    }
}

/// An uncompressed TIFF of one strip.
fn tiff(stored: &RgbImage, orientation: u8) -> Vec<u8> {
    let (width, height) = stored.dimensions();
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, 8 + stored.len() as u32), // bits per sample, stored behind the pixels
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (274, 3, 1, orientation.into()),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, stored.len() as u32),
    ];
    let mut bytes = b"II*\0".to_vec();
    bytes.extend((8 + stored.len() as u32 + 6).to_le_bytes());
    bytes.extend(stored.as_raw());
    bytes.extend([8, 0, 8, 0, 8, 0]);
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn a_broken_exif_block_costs_nothing() {
    let upright = gradient(48, 32);
    let plain = jpeg(&upright);
    let bytes = [&plain[..2], b"\xff\xe1\x00\x0cExif\0\0II*\0", &plain[2..]].concat();
    check("JPEG", 0, &bytes, &upright, 12);
}

/// As [`exif`], written with another integer type.
fn exif_of_type(kind: u8, orientation: u8) -> Vec<u8> {
    let entry = [0x12, 0x01, kind, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    [b"II*\0\x08\0\0\0\x01\0".as_slice(), &entry, &[0; 4]].concat()
}

/// A PNG with more chunks behind its header.
fn png_with(stored: &RgbImage, chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut png = super::encode(stored.clone(), image::ImageFormat::Png);
    for (kind, data) in chunks {
        let mut chunk = (data.len() as u32).to_be_bytes().to_vec();
        chunk.extend(*kind);
        chunk.extend(data);
        // Checksums of ancillary chunks are not verified.
        let mut crc = flate2::Crc::new();
        crc.update(&chunk[4..]);
        chunk.extend(crc.sum().to_be_bytes());
        png.splice(33..33, chunk);
    }
    png
}

fn xmp(orientation: u8) -> Vec<u8> {
    format!("<x:xmpmeta><rdf:Description tiff:Orientation=\"{orientation}\"/></x:xmpmeta>")
        .into_bytes()
}

#[test]
fn any_integer_will_do() {
    let upright = gradient(5, 3);
    let stored = turn(&upright, 6);
    // BYTE, SHORT, LONG, SBYTE, SSHORT, SLONG.
    for kind in [1, 3, 4, 6, 8, 9] {
        let png = png_with(&stored, &[(b"eXIf", exif_of_type(kind, 6))]);
        check("EXIF type", kind, &png, &upright, 0);
    }
}

#[test]
fn png_carries_exif_as_text_too() {
    use std::io::Write;
    let upright = gradient(5, 3);
    let stored = turn(&upright, 8);
    let block = [b"Exif\0\0".as_slice(), &exif(8)].concat();
    let digits: String = block.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("\nexif\n{:8}\n{digits}\n", block.len());
    for (kind, keyword) in [(b"tEXt", "exif"), (b"zTXt", "exif"), (b"zTXt", "APP1")] {
        let mut data = format!("Raw profile type {keyword}\0").into_bytes();
        if kind == b"zTXt" {
            data.push(0);
            let mut packer = flate2::write::ZlibEncoder::new(data, flate2::Compression::fast());
            packer.write_all(text.as_bytes()).unwrap();
            data = packer.finish().unwrap();
        } else {
            data.extend(text.as_bytes());
        }
        check(keyword, 8, &png_with(&stored, &[(kind, data)]), &upright, 0);
    }
}

#[test]
fn xmp_speaks_where_exif_is_silent() {
    let upright = gradient(48, 32);
    let stored = turn(&upright, 6);
    let chunk = [b"XML:com.adobe.xmp\0\0\0\0\0".as_slice(), &xmp(6)].concat();
    check(
        "XMP in PNG",
        6,
        &png_with(&stored, &[(b"iTXt", chunk.clone())]),
        &upright,
        0,
    );
    // An EXIF orientation of 1 takes precedence over XMP.
    let both = png_with(&stored, &[(b"iTXt", chunk), (b"eXIf", exif(1))]);
    check("EXIF before XMP", 1, &both, &stored, 0);

    let plain = jpeg(&stored);
    let payload = [b"http://ns.adobe.com/xap/1.0/\0".as_slice(), &xmp(6)].concat();
    let length = (payload.len() as u16 + 2).to_be_bytes();
    let bytes = [&plain[..2], &[0xff, 0xe1], &length, &payload, &plain[2..]].concat();
    check("XMP in JPEG", 6, &bytes, &upright, 12);
}

#[test]
fn webp_takes_exif_with_jpegs_prefix() {
    let upright = gradient(5, 3);
    let stored = turn(&upright, 5);
    let (width, height) = stored.dimensions();
    let mut webp = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut webp);
    let block = [b"Exif\0\0".as_slice(), &exif(5)].concat();
    encoder.set_exif_metadata(block).unwrap();
    encoder
        .write_image(&stored, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    check("WebP", 5, &webp, &upright, 0);
}
