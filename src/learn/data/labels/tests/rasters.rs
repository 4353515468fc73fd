//! What all formats have in common, and those with a test or two: PNG, PGM, PFM, OpenEXR, JPEG and WebP.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use png::{BitDepth, ColorType};

use super::{encoded, floats, integers, npy, npz, png, read, refused};
use crate::learn::data::labels::decode::decode;
use crate::learn::data::labels::raster::RasterContent;

#[test]
fn narrow_bits_are_unpacked() {
    let bytes = png(
        (3, 2),
        ColorType::Grayscale,
        BitDepth::Two,
        &[],
        &[0b0110_1100, 0b1100_0100],
    );
    assert_eq!(integers(&bytes), (vec![1, 2, 3, 3, 0, 1], 2));
}

#[test]
fn containers_of_whole_sets_are_named() {
    refused(b"\x89HDF\r\n\x1a\n rest", "HDF5");
    refused(b"MATLAB 5.0 MAT-file, Platform", "MATLAB");
    refused(b"", "empty");
    refused(b"hello", "no format");
}

#[test]
fn a_grey_map_is_not_scaled_to_full_range() {
    assert_eq!(
        integers(b"P2\n# ids\n3 1\n20\n0 7 20\n"),
        (vec![0, 7, 20], 8)
    );
    assert_eq!(
        integers(b"P5 2 1 1000\n\x01\x02\x00\x05"),
        (vec![258, 5], 16)
    );
    refused(b"P5 2 1 255\n\x01", "too early");
}

#[test]
fn float_maps_count_rows_from_the_bottom() {
    let numbers = [3f32, 4.0, 1.0, 2.0];
    let little = [
        b"Pf\n2 2\n-1.0\n",
        numbers.map(f32::to_le_bytes).as_flattened(),
    ]
    .concat();
    let big = [b"Pf 2 2 1 ", numbers.map(f32::to_be_bytes).as_flattened()].concat();
    assert_eq!(floats(&little), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(floats(&big), [1.0, 2.0, 3.0, 4.0]);
    refused(b"PF\n1 1\n-1.0\n............", "three channels");
    let scaled = [b"Pf\n1 1\n-0.5\n", &1f32.to_le_bytes()[..]].concat();
    assert_eq!(read(&scaled).unapplied_scale, Some(0.5));

    let sintel = |numbers: usize| {
        let head = [*b"PIEH", 2i32.to_le_bytes(), 1i32.to_le_bytes()].concat();
        [head, 1.5f32.to_le_bytes().repeat(numbers)].concat()
    };
    assert_eq!(floats(&sintel(2)), [1.5, 1.5]);
    refused(&sintel(4), "optical flow");
}

#[test]
fn channels_of_exr_are_chosen_by_their_names() {
    use exr::prelude::{
        AnyChannel, AnyChannels, Encoding, FlatSamples, Image, Layer, LayerAttributes, SmallVec,
        WritableImage, f16,
    };
    let exr = |channels: &[(&str, FlatSamples)]| {
        let channels = channels
            .iter()
            .map(|(name, samples)| AnyChannel::new(*name, samples.clone()));
        let layer = Layer::new(
            (2, 1),
            LayerAttributes::named("layer"),
            Encoding::FAST_LOSSLESS,
            AnyChannels::sort(SmallVec::from_iter(channels)),
        );
        let mut file = Cursor::new(Vec::new());
        Image::from_layer(layer)
            .write()
            .to_buffered(&mut file)
            .unwrap();
        file.into_inner()
    };
    let single = |a: f32, b: f32| FlatSamples::F32(vec![a, b]);
    assert_eq!(floats(&exr(&[("anything", single(1.5, 2.0))])), [1.5, 2.0]);
    let rgbz = [
        ("R", single(0.0, 0.1)),
        ("G", single(0.0, 0.2)),
        ("B", single(0.0, 0.3)),
        ("View Layer.Depth.V", single(3.0, 4.0)),
    ];
    assert_eq!(floats(&exr(&rgbz)), [3.0, 4.0]);
    let why = decode(&exr(&rgbz[..3]), &[]).unwrap_err();
    assert!(why.contains("the channels B, G, R"), "{why}");
    let grey = ["R", "G", "B"].map(|name| (name, single(5.0, f32::NAN)));
    assert_eq!(floats(&exr(&grey))[0], 5.0);
    let half = FlatSamples::F16(vec![f16::from_f32(0.5), f16::from_f32(8.0)]);
    assert_eq!(floats(&exr(&[("Z", half)])), [0.5, 8.0]);
    let whole = FlatSamples::U32(vec![1500, 0]);
    assert_eq!(integers(&exr(&[("depth", whole)])), (vec![1500, 0], 32));
}

#[test]
fn lossy_pictures_are_known_as_such() {
    let grey = DynamicImage::ImageLuma8(GrayImage::from_pixel(8, 8, image::Luma([3])));
    assert!(read(&encoded(&grey, ImageFormat::Jpeg)).is_lossy);
    assert!(!read(&encoded(&grey, ImageFormat::WebP)).is_lossy);
    assert!(read(&super::masks::LOSSY_WEBP).is_lossy);
}

#[test]
fn alpha_is_counted() {
    let rgba = png(
        (2, 1),
        ColorType::Rgba,
        BitDepth::Eight,
        &[],
        &[1, 2, 3, 255, 4, 5, 6, 9],
    );
    let raster = read(&rgba);
    assert_eq!(raster.transparent, 1);
    assert_eq!(
        raster.content,
        RasterContent::Colors(vec![[1, 2, 3], [4, 5, 6]])
    );
    let grey = png(
        (2, 1),
        ColorType::GrayscaleAlpha,
        BitDepth::Eight,
        &[],
        &[1, 255, 2, 255],
    );
    let raster = read(&grey);
    assert_eq!(raster.transparent, 0);
    assert_eq!(
        raster.content,
        RasterContent::Integers {
            values: vec![1, 2],
            bits: 8
        }
    );
}

#[test]
fn no_cut_or_bent_file_panics() {
    let files = [
        npy("<f4", true, "(2, 3)", &[7; 24]),
        npz(&[("depth", npy("|u1", false, "(1, 1)", &[1]))]),
        png(
            (2, 1),
            ColorType::Indexed,
            BitDepth::Four,
            &[[1, 2, 3]; 2],
            &[0x01],
        ),
        encoded(
            &DynamicImage::ImageRgb8(RgbImage::new(4, 4)),
            ImageFormat::Tiff,
        ),
        encoded(
            &DynamicImage::ImageRgb8(RgbImage::new(4, 4)),
            ImageFormat::Bmp,
        ),
        [b"Pf\n2 2\n-1.0\n", &[1u8; 16][..]].concat(),
        b"P5 2 1 1000\n\x01\x02\x00\x05".to_vec(),
    ];
    for file in files {
        assert!(decode(&file, &[]).is_ok());
        for at in 0..file.len() {
            let _ = decode(&file[..at], &[]);
            let mut bent = file.clone();
            bent[at] ^= 0xff;
            let _ = decode(&bent, &[]);
        }
    }
}
