//! Streams and animations of every container, whole and damaged.

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
    // A truncated image does not swallow the next one.
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
    let frame = |value| image::Frame::new(RgbaImage::from_pixel(4, 3, Rgba([value, 1, 2, 255])));
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
    encoder
        .encode_frames((0..5).map(|k| frame(50 * k)))
        .unwrap();
    drop(encoder);
    assert_eq!(count_in_file(&gif), 5);

    let mut apng = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut apng, 2, 1);
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
    let pages = include_bytes!("../../../../tests/fixtures/photos/pages.tif");
    assert_eq!(count_in_file(pages), 3);
    assert_eq!((count_in_stream(pages), split(pages).len()), (1, 1));
    let decoder = crate::io::inputs::PhotoDecoder::plain();
    for (page, value) in [(1, 50), (2, 150), (3, 250)] {
        let image = decoder.decode_bytes(pages, Some(page), "pages").unwrap();
        assert_eq!(image.get_pixel(3, 3).0, [value, 9, 9]);
    }
    let jp2 = include_bytes!("../../../../tests/fixtures/photos/plain.jp2");
    let jxl = include_bytes!("../../../../tests/fixtures/photos/plain.jxl");
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
