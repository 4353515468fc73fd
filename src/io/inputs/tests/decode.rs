//! Decoding: every pixel layout gives the right RGB, and every damaged file an error message.

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, Rgba, RgbaImage};

use super::{encode, gradient, jpeg};
use crate::io::inputs::{PhotoDecoder, Source};

/// Decodes with the default options.
fn decode_bytes(bytes: &[u8]) -> Result<image::RgbImage, String> {
    PhotoDecoder::plain().decode_bytes(bytes, None, "photo")
}

fn pixels(bytes: &[u8]) -> Vec<u8> {
    decode_bytes(bytes).unwrap().into_raw()
}

fn complaint(bytes: &[u8]) -> String {
    let decoded = decode_bytes(bytes);
    let size = bytes.len();
    assert!(
        decoded.is_err(),
        "{size} bytes pass for an image: {:?}",
        &bytes[size.saturating_sub(8)..]
    );
    decoded.map(|picture| picture.dimensions()).unwrap_err()
}

#[test]
fn lossless_formats_keep_every_value() {
    use ImageFormat::{Bmp, Farbfeld, Ico, Png, Pnm, Qoi, Tiff, WebP};
    let picture = gradient(7, 5);
    for format in [Png, Bmp, Tiff, WebP, Qoi, Pnm] {
        assert_eq!(
            pixels(&encode(picture.clone(), format)),
            *picture.as_raw(),
            "{format:?}"
        );
    }
    let opaque = DynamicImage::ImageRgb8(picture.clone()).into_rgba8();
    assert_eq!(pixels(&encode(opaque, Ico)), *picture.as_raw());
    let wide = DynamicImage::ImageRgb8(picture.clone()).into_rgba16();
    assert_eq!(pixels(&encode(wide, Farbfeld)), *picture.as_raw());
}

#[test]
fn a_gif_gives_its_first_frame() {
    let mut bytes = Vec::new();
    let frame = |color| image::Frame::new(RgbaImage::from_pixel(4, 3, Rgba(color)));
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    encoder
        .encode_frames([frame([200, 10, 30, 255]), frame([0, 0, 255, 255])])
        .unwrap();
    drop(encoder);
    assert_eq!(pixels(&bytes), [200, 10, 30].repeat(12));
}

#[test]
fn grey_is_repeated_and_16_bits_are_rounded() {
    let grey = GrayImage::from_raw(2, 1, vec![3, 250]).unwrap();
    assert_eq!(
        pixels(&encode(grey, ImageFormat::Png)),
        [3, 3, 3, 250, 250, 250]
    );
    // 257 sixteenths of a step: 127 rounds down, 129 rounds up, the ends stay ends.
    let deep =
        image::ImageBuffer::<Luma<u16>, _>::from_raw(4, 1, vec![0, 127, 129, 65535]).unwrap();
    let expected: Vec<u8> = [0, 0, 1, 255].iter().flat_map(|&v| [v; 3]).collect();
    assert_eq!(pixels(&encode(deep.clone(), ImageFormat::Png)), expected);
    assert_eq!(pixels(&encode(deep, ImageFormat::Tiff)), expected);
}

#[test]
fn alpha_is_dropped_not_composited() {
    let picture = RgbaImage::from_pixel(2, 2, Rgba([10, 200, 30, 0]));
    for format in [
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Qoi,
    ] {
        assert_eq!(
            pixels(&encode(picture.clone(), format)),
            [10, 200, 30].repeat(4),
            "{format:?}"
        );
    }
}

#[test]
fn palettes_are_looked_up() {
    use crate::io::output::{PngPixels, write_png};
    let mut bytes = Vec::new();
    write_png(
        &mut bytes,
        (3, 1),
        PngPixels::Indexed(&[1, 0, 1], &[[9, 8, 7], [0, 128, 255]]),
        &[],
    )
    .unwrap();
    assert_eq!(pixels(&bytes), [0, 128, 255, 9, 8, 7, 0, 128, 255]);
}

#[test]
fn a_single_pixel_is_a_photo() {
    let picture = image::RgbImage::from_pixel(1, 1, Rgb([120, 120, 120]));
    assert_eq!(pixels(&encode(picture.clone(), ImageFormat::Png)), [120; 3]);
    assert_eq!(pixels(&jpeg(&picture)), [120; 3]);
}

#[test]
fn cmyk_has_the_right_colours_in_all_three_kinds() {
    let files: [(&str, &[u8]); 3] = [
        (
            "Adobe CMYK",
            include_bytes!("../../../../tests/fixtures/cmyk-adobe.jpg"),
        ),
        (
            "plain CMYK",
            include_bytes!("../../../../tests/fixtures/cmyk-plain.jpg"),
        ),
        (
            "Adobe YCCK",
            include_bytes!("../../../../tests/fixtures/ycck-adobe.jpg"),
        ),
    ];
    let expected = [
        (8, 8, [255, 0, 0]),
        (24, 8, [0, 255, 0]),
        (8, 24, [0, 0, 255]),
        (24, 24, [64, 64, 64]),
    ];
    for (name, bytes) in files {
        let picture = decode_bytes(bytes).unwrap();
        for (x, y, color) in expected {
            let pixel = picture.get_pixel(x, y).0;
            let worst = pixel
                .iter()
                .zip(color)
                .map(|(a, b)| a.abs_diff(b))
                .max()
                .unwrap();
            assert!(worst <= 4, "{name} at {x}, {y}: {pixel:?}");
        }
    }
}

#[test]
fn a_jpeg_that_ends_early_is_an_error_wherever_it_ends() {
    let bytes = jpeg(&gradient(200, 120));
    for percent in [1, 10, 30, 50, 90, 99] {
        let cut = &bytes[..(bytes.len() * percent / 100).max(3)];
        assert!(
            complaint(cut).contains("truncated JPEG"),
            "{percent} %: {}",
            complaint(cut)
        );
    }
    let end = bytes
        .windows(2)
        .position(|marker| marker == [0xff, 0xd9])
        .unwrap();
    // One byte less, and an end marker behind what is left.
    let cut = [&bytes[..end - 1], b"\xff\xd9"].concat();
    assert!(complaint(&cut).contains("truncated JPEG"));
}

#[test]
fn a_whole_jpeg_needs_no_end_marker() {
    let bytes = jpeg(&gradient(200, 120));
    let expected = pixels(&bytes);
    assert_eq!(pixels(&bytes[..bytes.len() - 2]), expected);
    let trailer = [
        &bytes[..bytes.len() - 2],
        b"\0\0\x01\x0aImage_UTC_Data1524SEFT",
    ]
    .concat();
    assert_eq!(pixels(&trailer), expected);
}

#[test]
fn kinds_of_jpeg_that_are_not_read_are_called_by_name() {
    let bytes = jpeg(&gradient(20, 10));
    let frame = bytes.windows(2).position(|m| m == [0xff, 0xc0]).unwrap();
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[frame + at] = value;
        complaint(&bytes)
    };
    assert!(
        with(4, 12).starts_with("12-bit JPEG is not supported"),
        "{}",
        with(4, 12)
    );
    assert!(
        with(1, 0xc3).starts_with("lossless JPEG"),
        "{}",
        with(1, 0xc3)
    );
    assert!(
        with(1, 0xc9).starts_with("arithmetic-coded JPEG"),
        "{}",
        with(1, 0xc9)
    );
}

#[test]
fn harmless_irregularities_of_a_jpeg_are_borne() {
    let plain = jpeg(&gradient(40, 20));
    let expected = pixels(&plain);
    let second_segment = 4 + usize::from(u16::from_be_bytes([plain[4], plain[5]]));
    let (first, rest) = plain.split_at(second_segment);
    let garbage_between_headers = [first, b"\0\0\0\0\0\0\0\0\0", rest].concat();
    assert_eq!(pixels(&garbage_between_headers), expected);
    let fill_bytes = [&plain[..2], &[0xff; 5], &plain[2..]].concat();
    assert_eq!(pixels(&fill_bytes), expected);
    let appendix = [
        plain.as_slice(),
        b"a second image, or a video, as phones append them",
    ]
    .concat();
    assert_eq!(pixels(&appendix), expected);
}

#[test]
fn every_truncated_format_is_an_error() {
    use ImageFormat::{Bmp, Farbfeld, Gif, Png, Pnm, Qoi, Tiff, WebP};
    let noise = image::RgbImage::from_fn(60, 40, |x, y| {
        let hash = (x * 2_654_435 + y * 40_503 + x * y * 97).wrapping_mul(2_246_822_519);
        Rgb([(hash >> 8) as u8, (hash >> 16) as u8, (hash >> 24) as u8])
    });
    for format in [Png, Bmp, Tiff, WebP, Qoi, Pnm, Gif, Farbfeld] {
        let picture = DynamicImage::ImageRgb8(noise.clone());
        let picture = match format {
            Farbfeld => picture.into_rgba16().into(),
            Gif => picture.into_rgba8().into(),
            _ => picture,
        };
        let bytes = encode(picture, format);
        for percent in [20, 50, 90] {
            let cut = &bytes[..bytes.len() * percent / 100];
            let text = decode_bytes(cut).expect_err(&format!("{format:?} at {percent} %"));
            assert!(
                text.contains("truncated") || text.contains("damaged"),
                "{format:?}: {text}"
            );
        }
    }
}

#[test]
fn what_is_no_image_says_so() {
    assert_eq!(complaint(b""), "is empty");
    assert!(complaint(b"dear diary").starts_with("is not an image"));
    let clip = complaint(b"\0\0\0\x18ftypisom\0\0\0\0");
    assert!(clip.contains("is a video clip (MP4)"), "{clip}");
}

#[test]
fn the_limit_is_checked_before_the_pixels() {
    let decode = |bytes: &[u8], max_pixels| {
        let mut decoder = PhotoDecoder::plain();
        decoder.options.max_pixels = max_pixels;
        decoder.decode_bytes(bytes, None, "photo")
    };
    for bytes in [
        jpeg(&gradient(40, 30)),
        encode(gradient(40, 30), ImageFormat::Png),
    ] {
        let text = decode(&bytes, 1000).unwrap_err();
        assert!(
            text.contains("40 x 30") && text.contains("--max-megapixels"),
            "{text}"
        );
        assert!(decode(&bytes, 1200).is_ok());
    }
    // 60 000 x 60 000 pixels in the header of a PNG that holds none.
    let mut bomb = encode(gradient(1, 1), ImageFormat::Png);
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let crc = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.to_be_bytes());
    let text = complaint(&bomb);
    assert!(text.contains("3600.0 megapixels"), "{text}");
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| {
            (c >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(c & 1))
        })
    })
}

#[test]
fn errors_name_the_file() {
    let missing = PhotoDecoder::plain().decode(&Source::from_path("no/such.jpg"));
    assert_eq!(
        missing.unwrap_err().to_string(),
        "no/such.jpg: no such file or directory"
    );
}

#[test]
fn damaged_bytes_never_panic() {
    for bytes in [
        jpeg(&gradient(64, 48)),
        encode(gradient(64, 48), ImageFormat::Png),
    ] {
        for seed in 0..200usize {
            let mut damaged = bytes.clone();
            for i in 1..=3 {
                let at = (seed * 7919 + i * 104_729) % damaged.len();
                damaged[at] ^= (seed * 31 + i) as u8;
            }
            // The result is up to the decoder; it only must not panic or hang.
            let _ = decode_bytes(&damaged);
        }
    }
}

#[test]
fn jpeg_xl_and_jpeg_2000_are_read_exactly_and_never_in_part() {
    let expected: Vec<u8> = (0..8u8)
        .flat_map(|y| (0..12u8).flat_map(move |x| [x * 20, y * 30, x * y * 2]))
        .collect();
    let files: [&[u8]; 2] = [
        include_bytes!("../../../../tests/fixtures/photos/plain.jxl"),
        include_bytes!("../../../../tests/fixtures/photos/plain.jp2"),
    ];
    for (bytes, name) in files.into_iter().zip(["JPEG XL", "JPEG 2000"]) {
        assert_eq!(pixels(bytes), expected, "{name}");
        for percent in [30, 60, 95] {
            let why = complaint(&bytes[..bytes.len() * percent / 100]);
            assert!(why.contains(name), "{why}");
        }
    }
}

#[test]
fn a_jpeg_with_a_scan_for_each_component_is_read() {
    let bytes = include_bytes!("../../../../tests/fixtures/photos/scans.jpg");
    let found = decode_bytes(bytes).unwrap();
    assert_eq!(found.dimensions(), (40, 24));
    let off: u32 = found
        .enumerate_pixels()
        .map(|(x, y, pixel)| {
            let made = [x * 6, y * 10, (x + y) * 3];
            pixel
                .0
                .iter()
                .zip(made)
                .map(|(&a, b)| u32::from(a).abs_diff(b))
                .sum::<u32>()
        })
        .sum();
    assert!(
        off < 3 * 40 * 24 * 3,
        "off by {} a sample",
        off / (40 * 24 * 3)
    );
}
