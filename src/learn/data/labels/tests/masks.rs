//! Ids read from masks of every format.

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use png::{BitDepth, ColorType};

use super::{encoded, filed, npy, png};
use crate::error::Result;
use crate::io::output::{PngPixels, label_map, write_png};
use crate::learn::data::labels::{Mask, MaskReader, read_mask};
use crate::model::head::Class;
use crate::terminal::warnings::Warnings;
use crate::vision::postprocess::{LabelMap, NO_CLASS};

/// 4 x 4 pixels of (1, 1, 1), by Pillow at quality 90.
pub(super) const LOSSY_WEBP: [u8; 46] = [
    82, 73, 70, 70, 38, 0, 0, 0, 87, 69, 66, 80, 86, 80, 56, 32, 26, 0, 0, 0, 48, 1, 0, 157, 1, 42,
    4, 0, 4, 0, 0, 192, 18, 37, 164, 0, 3, 112, 0, 254, 254, 235, 154, 0, 0, 0,
];

/// Sky, road and car: blue, purple and dark blue.
pub(super) const COLORS: [[u8; 3]; 3] = [[70, 130, 180], [128, 64, 128], [0, 0, 142]];

pub(super) fn classes(colors: &[[u8; 3]]) -> Vec<Class> {
    let names = ["sky", "road", "car", "tree"];
    let pairs = names.iter().zip(colors);
    pairs
        .map(|(name, &color)| Class {
            name: (*name).to_owned(),
            color,
        })
        .collect()
}

/// The ids of a file, and the kinds of its warnings.
fn read_as(colors: &[[u8; 3]], name: &str, bytes: &[u8]) -> Result<(Vec<u16>, Vec<&'static str>)> {
    let file = filed(name, bytes);
    let warnings = Warnings::silent();
    let classes = classes(colors);
    let reader = MaskReader {
        classes: &classes,
        id_count: Some(classes.len()),
        ignore: 255,
        warnings: &warnings,
    };
    let Mask { ids, .. } = reader.read(&file.path)?;
    Ok((
        ids,
        warnings.counts().iter().map(|count| count.kind).collect(),
    ))
}

#[track_caller]
pub(super) fn reads(colors: &[[u8; 3]], bytes: &[u8], ids: &[u16], kinds: &[&str]) {
    let (found, warned) = read_as(colors, "mask", bytes).unwrap();
    assert_eq!((&found[..], &warned[..]), (ids, kinds));
}

#[track_caller]
pub(super) fn refuses(colors: &[[u8; 3]], bytes: &[u8], words: &[&str]) {
    let why = read_as(colors, "mask", bytes).unwrap_err().to_string();
    for word in words {
        assert!(why.contains(word), "{word:?} is not in {why}");
    }
}

pub(super) fn rgb(pixels: &[[u8; 3]]) -> Vec<u8> {
    let size = (pixels.len() as u32, 1);
    png(
        size,
        ColorType::Rgb,
        BitDepth::Eight,
        &[],
        pixels.as_flattened(),
    )
}

pub(super) fn palette(colors: &[[u8; 3]], indices: &[u8]) -> Vec<u8> {
    let size = (indices.len() as u32, 1);
    png(size, ColorType::Indexed, BitDepth::Eight, colors, indices)
}

fn grey(values: &[u8]) -> Vec<u8> {
    let size = (values.len() as u32, 1);
    png(size, ColorType::Grayscale, BitDepth::Eight, &[], values)
}

#[test]
fn numbers_are_ids_in_every_format() {
    let values = [2, 0, 1, 255];
    let picture = GrayImage::from_raw(4, 1, values.to_vec()).unwrap();
    let rgb = DynamicImage::ImageRgb8(DynamicImage::ImageLuma8(picture.clone()).into_rgb8());
    let picture = DynamicImage::ImageLuma8(picture);
    let ids = [2, 0, 1, 255];
    for format in [
        ImageFormat::Png,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
        ImageFormat::Pnm,
    ] {
        reads(&COLORS, &encoded(&picture, format), &ids, &[]);
    }
    for format in [
        ImageFormat::Png,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
        ImageFormat::WebP,
    ] {
        reads(&COLORS, &encoded(&rgb, format), &ids, &[]);
    }
    reads(&COLORS, &npy("|u1", false, "(1, 4)", &values), &ids, &[]);
    reads(&COLORS, &npy("|b1", false, "(1, 2)", &[1, 0]), &[1, 0], &[]);
    let floats = [2f32, 0.0, 255.0].map(f32::to_le_bytes);
    reads(
        &COLORS,
        &npy("<f4", false, "(1, 3)", floats.as_flattened()),
        &[2, 0, 255],
        &[],
    );
    let file = filed(
        "a.png",
        &png(
            (2, 1),
            ColorType::Grayscale,
            BitDepth::Sixteen,
            &[],
            &[1, 44, 0, 7],
        ),
    );
    assert_eq!(read_mask(&file.path).unwrap().ids, [300, 7]);
}

#[test]
fn what_can_be_no_id_is_named_with_its_pixel() {
    let floats = [1f32, 0.5].map(f32::to_le_bytes);
    refuses(
        &COLORS,
        &npy("<f4", false, "(1, 2)", floats.as_flattened()),
        &["0.5", "pixel 1,0"],
    );
    let nan = f32::NAN.to_le_bytes();
    refuses(
        &COLORS,
        &npy("<f4", false, "(1, 1)", &nan),
        &["NaN", "whole numbers"],
    );
    refuses(
        &COLORS,
        &npy("<i4", false, "(1, 1)", &70_000i32.to_le_bytes()),
        &["70000"],
    );
    refuses(&COLORS, &npy("|i1", false, "(1, 1)", &[0xfe]), &["-2"]);
    reads(
        &COLORS,
        &npy("|i1", false, "(1, 2)", &[0xff, 1]),
        &[255, 1],
        &["ids of -1"],
    );
}

#[test]
fn bytes_widened_to_sixteen_bits_are_bytes_again() {
    let wide = [0u16, 257, 514, 65535].map(u16::to_be_bytes);
    let bytes = png(
        (4, 1),
        ColorType::Grayscale,
        BitDepth::Sixteen,
        &[],
        wide.as_flattened(),
    );
    reads(&COLORS, &bytes, &[0, 1, 2, 255], &["ids times 257"]);
}

#[test]
fn colours_of_classes_become_ids() {
    let [sky, road, car] = COLORS;
    reads(&COLORS, &rgb(&[car, sky, road]), &[2, 0, 1], &[]);
    let rgba = [70, 130, 180, 255, 128, 64, 128, 255];
    let opaque = png((2, 1), ColorType::Rgba, BitDepth::Eight, &[], &rgba);
    reads(&COLORS, &opaque, &[0, 1], &[]);
    let seen_through = png(
        (2, 1),
        ColorType::Rgba,
        BitDepth::Eight,
        &[],
        &[&rgba[..7], &[9]].concat(),
    );
    reads(&COLORS, &seen_through, &[0, 1], &["transparent mask"]);
    let grey_alpha = png(
        (2, 1),
        ColorType::GrayscaleAlpha,
        BitDepth::Eight,
        &[],
        &[2, 255, 1, 255],
    );
    reads(&COLORS, &grey_alpha, &[2, 1], &[]);
    // NumPy arrays of colours, as cv2 and imageio give them.
    let array = npy("|u1", false, "(1, 2, 3)", [car, sky].as_flattened());
    reads(&COLORS, &array, &[2, 0], &[]);
}

#[test]
fn void_colours_are_no_class_unless_the_list_has_them() {
    let (sky, border, black) = (COLORS[0], [224, 224, 192], [0, 0, 0]);
    reads(
        &COLORS,
        &rgb(&[sky, border, black]),
        &[0, 255, 255],
        &["void colours"],
    );
    let with_black = [COLORS[0], black];
    reads(&with_black, &rgb(&[sky, black]), &[0, 1], &[]);
    refuses(&COLORS, &rgb(&[border, black]), &["void"]);
}

#[test]
fn a_colour_of_no_class_is_named_with_the_nearest() {
    let bytes = rgb(&[COLORS[0], [127, 66, 128], [1, 2, 3]]);
    refuses(
        &COLORS,
        &bytes,
        &["(127, 66, 128)", "pixel 1,0", "\"road\"", "1 more"],
    );
    let twice = [COLORS[0], COLORS[1], COLORS[1]];
    refuses(
        &twice,
        &rgb(&[COLORS[0], COLORS[1]]),
        &["\"road\"", "\"car\""],
    );
    refuses(&[], &rgb(&[COLORS[0]]), &["in colours", "no list"]);
}

#[test]
fn greys_that_a_list_names_are_its_classes() {
    let black_and_white = [[0, 0, 0], [255, 255, 255]];
    // 255 is the white class, not what is ignored: else only black would be learnt.
    reads(
        &black_and_white,
        &grey(&[0, 255]),
        &[0, 1],
        &["grey colours of classes"],
    );
    reads(&black_and_white, &rgb(&[[0; 3], [255; 3]]), &[0, 1], &[]);
    reads(&black_and_white, &grey(&[0, 1]), &[0, 1], &[]);
    // Where no class is white, 255 is ignored as usual.
    reads(&COLORS, &grey(&[0, 255]), &[0, 255], &[]);
    // A number that is an id is read as one, even if a default colour is that grey.
    let scheme: Vec<[u8; 3]> = (0..4)
        .map(crate::learn::data::taxonomy::voc_color)
        .collect();
    reads(&scheme, &rgb(&[[0; 3], [3; 3]]), &[0, 3], &[]);
}

#[test]
fn a_lossy_mask_always_gets_a_sentence() {
    let flat = DynamicImage::ImageLuma8(GrayImage::from_pixel(8, 8, Luma([1])));
    reads(
        &COLORS,
        &encoded(&flat, ImageFormat::Jpeg),
        &[1; 64],
        &["lossy mask"],
    );
    reads(&COLORS, &LOSSY_WEBP, &[1; 16], &["lossy mask"]);
    let halves = RgbImage::from_fn(32, 32, |x, _| Rgb(COLORS[usize::from(x > 13)]));
    let bytes = encoded(&DynamicImage::ImageRgb8(halves), ImageFormat::Jpeg);
    refuses(&COLORS, &bytes, &["no class's", "is a JPEG", "as PNG"]);
}

#[test]
fn what_this_program_writes_of_classes_reads_back() {
    let map = LabelMap {
        width: 4,
        height: 1,
        ids: vec![2, 0, NO_CLASS, 1],
        confidence: vec![1.0; 4],
    };
    let own = classes(&COLORS);
    let mut png = Vec::new();
    label_map::write_ids_png(&mut png, &map, &own).unwrap();
    reads(&COLORS, &png, &[2, 0, 255, 1], &[]);
    let mut npy = Vec::new();
    label_map::write_ids_npy(&mut npy, &map, own.len()).unwrap();
    reads(&COLORS, &npy, &[2, 0, 255, 1], &[]);

    // By a head that has the same classes in another order and other colours.
    let mut sorted = classes(&[[9, 9, 1], [8, 8, 1], [7, 7, 1]]);
    sorted.reverse();
    let mut png = Vec::new();
    label_map::write_ids_png(&mut png, &map, &sorted).unwrap();
    reads(
        &COLORS,
        &png,
        &[0, 2, 255, 1],
        &["ids of another list of classes"],
    );
    sorted[0].name = "boat".into();
    let mut png = Vec::new();
    label_map::write_ids_png(&mut png, &map, &sorted).unwrap();
    // The unknown class occurs in the map.
    refuses(&COLORS, &png, &["\"boat\""]);

    // White is the class of the mask, of two classes.
    let mut white = Vec::new();
    label_map::write_mask(&mut white, &map, 1, &own).unwrap();
    reads(&COLORS[..2], &white, &[0, 0, 0, 1], &[]);
    refuses(&COLORS, &white, &["\"road\"", "--save ids"]);
    let mut white = Vec::new();
    label_map::write_mask(&mut white, &map, 0, &own).unwrap();
    reads(&COLORS[..2], &white, &[1, 0, 1, 1], &[]);

    let mut picture = Vec::new();
    write_png(&mut picture, (1, 1), PngPixels::Rgb8(&COLORS[0]), &[]).unwrap();
    refuses(&COLORS, &picture, &["dino drew", "--save ids"]);
}
