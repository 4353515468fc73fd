//! Formats, before anything is made of their numbers.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use png::{BitDepth, ColorType};
use tiff::encoder::{Compression, TiffEncoder, colortype};

use super::{encoded, npy, npz, png};
use crate::learn::data::labels::raster::{LabelRaster, RasterContent, decode};

fn read(bytes: &[u8]) -> LabelRaster {
    decode(bytes, &["depth"]).unwrap()
}

fn refused(bytes: &[u8], word: &str) {
    let why = decode(bytes, &["depth", "arr_0"]).unwrap_err();
    assert!(why.contains(word), "{why}");
}

/// The whole numbers of a file and their bits.
fn integers(bytes: &[u8]) -> (Vec<i64>, u8) {
    match read(bytes).content {
        RasterContent::Integers { values, bits } => (values, bits),
        other => panic!("{other:?}"),
    }
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    match read(bytes).content {
        RasterContent::Floats(values) => values,
        other => panic!("{other:?}"),
    }
}

fn indexed(bytes: &[u8]) -> (Vec<u8>, Vec<[u8; 3]>) {
    match read(bytes).content {
        RasterContent::Indexed { indices, palette } => (indices, palette),
        other => panic!("{other:?}"),
    }
}

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
fn arrays_of_every_type_and_order_read_alike() {
    // [[1, 2, 3], [4, 5, 6]]
    let rows = [1u8, 2, 3, 4, 5, 6];
    let columns = [1u8, 4, 2, 5, 3, 6];
    for (descr, width) in [
        ("u1", 1),
        ("i1", 1),
        ("u2", 2),
        ("i2", 2),
        ("u4", 4),
        ("i4", 4),
        ("u8", 8),
        ("i8", 8),
    ] {
        for (order, mark) in [(false, '<'), (true, '<'), (false, '>'), (true, '>')] {
            let mark = if width == 1 { '|' } else { mark };
            let numbers = if order { columns } else { rows };
            let wide = numbers.iter().flat_map(|&number| {
                let mut bytes = vec![0; width];
                let at = if mark == '>' { width - 1 } else { 0 };
                bytes[at] = number;
                bytes
            });
            let data: Vec<u8> = wide.collect();
            let bytes = npy(&format!("{mark}{descr}"), order, "(2, 3)", &data);
            assert_eq!(
                integers(&bytes),
                (vec![1, 2, 3, 4, 5, 6], 8 * width as u8),
                "{mark}{descr}"
            );
        }
    }
    let (values, _) = integers(&npy("<i2", false, "(1, 2)", &[0xff, 0xff, 0x00, 0x80]));
    assert_eq!(values, [-1, -32768]);
    let halves = [0x00, 0x3e, 0x00, 0xc0]; // 1.5 and -2 as f16
    assert_eq!(floats(&npy("<f2", false, "(1, 2)", &halves)), [1.5, -2.0]);
    assert_eq!(
        floats(&npy(">f4", false, "(1, 1)", &2.5f32.to_be_bytes())),
        [2.5]
    );
    assert_eq!(
        floats(&npy(">f8", false, "(1, 1)", &2.5f64.to_be_bytes())),
        [2.5]
    );
}

#[test]
fn sides_of_one_are_left_out() {
    let data: Vec<u8> = (0..10).collect();
    for shape in [
        "(2, 5)",
        "(2, 5, 1)",
        "(1, 2, 5)",
        "(1, 2, 5, 1)",
        "(1, 1, 2, 5)",
    ] {
        let raster = read(&npy("|u1", false, shape, &data));
        assert_eq!((raster.width, raster.height), (5, 2), "{shape}");
    }
    // A column is one.
    let raster = read(&npy("|u1", false, "(10, 1)", &data));
    assert_eq!((raster.width, raster.height), (1, 10));
    refused(&npy("|u1", false, "(10,)", &data), "[10]");
    refused(&npy("<u2", false, "(1, 3, 1, 1)", &data[..4]), "too early");
    refused(&npy("<c8", false, "(1, 1)", &[0; 8]), "<c8");
    refused(&npy("<u2", false, "(2, 1, 3)", &[0; 12]), "[2, 1, 3]");
}

#[test]
fn arrays_of_colours_are_colours() {
    let rows = [1, 2, 3, 4, 5, 6];
    let colors = |bytes: &[u8]| read(bytes).content;
    let expected = RasterContent::Colors(vec![[1, 2, 3], [4, 5, 6]]);
    assert_eq!(colors(&npy("|u1", false, "(1, 2, 3)", &rows)), expected);
    let columns = [1, 4, 2, 5, 3, 6];
    assert_eq!(colors(&npy("|u1", true, "(1, 2, 3)", &columns)), expected);
}

#[test]
fn archives_have_one_array_or_one_of_that_name() {
    let array = |number: u8| npy("|u1", false, "(1, 1)", &[number]);
    assert_eq!(integers(&npz(&[("any", array(7))])).0, [7]);
    assert_eq!(
        integers(&npz(&[("rgb", array(1)), ("depth", array(2))])).0,
        [2]
    );
    let two = npz(&[("rgb", array(1)), ("range", array(2))]);
    refused(&two, "rgb, range");
    refused(&two, "depth or arr_0");
    refused(&npz(&[]), "without an array");
}

#[test]
fn containers_of_whole_sets_are_named() {
    refused(b"\x89HDF\r\n\x1a\n rest", "HDF5");
    refused(b"MATLAB 5.0 MAT-file, Platform", "MATLAB");
    refused(b"", "empty");
    refused(b"hello", "no format");
}

#[test]
fn tiffs_of_every_width_keep_their_numbers() {
    fn tiff<C: colortype::ColorType>(values: &[C::Inner], compression: Compression) -> Vec<u8>
    where
        [C::Inner]: tiff::encoder::TiffValue,
    {
        let mut file = Cursor::new(Vec::new());
        TiffEncoder::new(&mut file)
            .unwrap()
            .with_compression(compression)
            .write_image::<C>(2, 1, values)
            .unwrap();
        file.into_inner()
    }
    use colortype::{Gray8, Gray16, Gray32, Gray32Float, Gray64Float, GrayI16, RGB8, RGB16};
    for compression in [
        Compression::Uncompressed,
        Compression::Lzw,
        Compression::Deflate(Default::default()),
        Compression::Packbits,
    ] {
        assert_eq!(
            integers(&tiff::<Gray8>(&[3, 200], compression)),
            (vec![3, 200], 8)
        );
        assert_eq!(
            integers(&tiff::<Gray16>(&[3, 40000], compression)),
            (vec![3, 40000], 16)
        );
        assert_eq!(
            floats(&tiff::<Gray32Float>(&[1.25, -3.0], compression)),
            [1.25, -3.0]
        );
    }
    let plain = Compression::Uncompressed;
    assert_eq!(
        integers(&tiff::<Gray32>(&[3, 70000], plain)),
        (vec![3, 70000], 32)
    );
    assert_eq!(
        integers(&tiff::<GrayI16>(&[3, -1], plain)),
        (vec![3, -1], 16)
    );
    assert_eq!(floats(&tiff::<Gray64Float>(&[0.1, 2.0], plain)), [0.1, 2.0]);
    let colors = tiff::<RGB8>(&[1, 2, 3, 4, 5, 6], plain);
    assert_eq!(
        read(&colors).content,
        RasterContent::Colors(vec![[1, 2, 3], [4, 5, 6]])
    );
    let wide = tiff::<RGB16>(&[257, 514, 0, 257, 0, 0], plain);
    assert_eq!(
        read(&wide).content,
        RasterContent::Colors(vec![[1, 2, 0], [1, 0, 0]])
    );
    let mut pages = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut pages).unwrap();
    encoder.write_image::<Gray8>(1, 1, &[1]).unwrap();
    encoder.write_image::<Gray8>(1, 1, &[2]).unwrap();
    refused(&pages.into_inner(), "several pages");
}

/// A TIFF of one strip: entries of a tag, a type (3 is u16, 4 is u32), a count and a value, sorted.
fn tiff_by_hand(is_little: bool, entries: &[(u16, u16, u32, u32)], data: &[u8]) -> Vec<u8> {
    let short = |value: u16| {
        if is_little {
            value.to_le_bytes()
        } else {
            value.to_be_bytes()
        }
    };
    let long = |value: u32| {
        if is_little {
            value.to_le_bytes()
        } else {
            value.to_be_bytes()
        }
    };
    let mark: &[u8] = if is_little { b"II" } else { b"MM" };
    let mut bytes = [mark, &short(42), &long(8), &short(entries.len() as u16)].concat();
    for &(tag, kind, count, value) in entries {
        bytes.extend([&short(tag)[..], &short(kind), &long(count)].concat());
        match (kind, count) {
            (3, 1) => bytes.extend([short(value as u16), [0; 2]].concat()),
            _ => bytes.extend(long(value)),
        }
    }
    bytes.extend(long(0));
    bytes.extend(data);
    bytes
}

#[test]
fn the_palette_of_a_tiff_is_not_looked_up() {
    // Colours of 8 bits are not rare where 16 are meant.
    for (is_little, shift) in [(true, 8), (false, 8), (true, 0)] {
        let start = 8 + 2 + 10 * 12 + 4;
        let entries = [
            (256, 3, 1, 3),          // width
            (257, 3, 1, 1),          // height
            (258, 3, 1, 4),          // bits a sample
            (259, 3, 1, 1),          // not compressed
            (262, 3, 1, 3),          // a palette
            (273, 4, 1, start),      // where the strip is
            (277, 3, 1, 1),          // samples a pixel
            (278, 3, 1, 1),          // rows a strip
            (279, 4, 1, 2),          // bytes of the strip
            (320, 3, 48, start + 2), // the colours: 16 of red, of green, of blue
        ];
        let mut data = vec![0x20, 0x10]; // 2, 0, 1
        for channel in 0..3u16 {
            for index in 0..16u16 {
                let value = if index == 2 {
                    (10 + channel) << shift
                } else {
                    0
                };
                let bytes = if is_little {
                    value.to_le_bytes()
                } else {
                    value.to_be_bytes()
                };
                data.extend(bytes);
            }
        }
        let (indices, palette) = indexed(&tiff_by_hand(is_little, &entries, &data));
        assert_eq!(indices, [2, 0, 1]);
        assert_eq!(
            (palette.len(), palette[2], palette[1]),
            (16, [10, 11, 12], [0; 3])
        );
    }
}

#[test]
fn planes_of_a_tiff_are_put_together() {
    let start = 8 + 2 + 10 * 12 + 4;
    let entries = [
        (256, 3, 1, 2),
        (257, 3, 1, 1),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 2), // red, green, blue
        (273, 4, 3, start),
        (277, 3, 1, 3),
        (278, 3, 1, 1),
        (279, 4, 3, start + 12),
        (284, 3, 1, 2), // one plane after the other
    ];
    let longs = |values: [u32; 3]| values.map(u32::to_le_bytes).concat();
    let strips = start + 24;
    let data = [
        longs([strips, strips + 2, strips + 4]),
        longs([2, 2, 2]),
        vec![1, 4, 2, 5, 3, 6],
    ];
    let raster = read(&tiff_by_hand(true, &entries, &data.concat()));
    assert_eq!(
        raster.content,
        RasterContent::Colors(vec![[1, 2, 3], [4, 5, 6]])
    );
}

#[test]
fn a_gif_and_a_bitmap_keep_their_indices() {
    let palette = [[9, 9, 9], [1, 2, 3], [4, 5, 6], [7, 8, 9]];
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, 3, 1, palette.as_flattened()).unwrap();
    let frame = gif::Frame::from_indexed_pixels(3, 1, vec![2, 0, 1], None);
    encoder.write_frame(&frame).unwrap();
    drop(encoder);
    let (indices, colors) = indexed(&bytes);
    assert_eq!((indices, &colors[..]), (vec![2, 0, 1], &palette[..]));

    // Two header blocks, two colours (blue, green, red, 0), a row of four bytes.
    let bitmap = [
        &b"BM"[..],
        &(14 + 40 + 8 + 4u32).to_le_bytes(),
        &[0; 4],
        &(14 + 40 + 8u32).to_le_bytes(),
        &40u32.to_le_bytes(),
        &3u32.to_le_bytes(),
        &1u32.to_le_bytes(),
        &[1, 0, 8, 0],
        &[0; 16],
        &2u32.to_le_bytes(),
        &[0; 4],
        &[3, 2, 1, 0, 6, 5, 4, 0],
        &[1, 0, 1, 0],
    ];
    let (indices, colors) = indexed(&bitmap.concat());
    assert_eq!(indices, [1, 0, 1]);
    assert_eq!(colors[..2], [[1, 2, 3], [4, 5, 6]]);
}

/// A BMP of 3 x 2 pixels with the colours 0 and 1: bits a pixel, compression, and its rows.
fn bitmap(bits: u8, compression: u32, height: i32, rows: &[u8]) -> Vec<u8> {
    [
        &b"BM"[..],
        &(14 + 40 + 8 + rows.len() as u32).to_le_bytes(),
        &[0; 4],
        &(14 + 40 + 8u32).to_le_bytes(),
        &40u32.to_le_bytes(),
        &3u32.to_le_bytes(),
        &height.to_le_bytes(),
        &[1, 0, bits, 0],
        &compression.to_le_bytes(),
        &(rows.len() as u32).to_le_bytes(),
        &[0; 8],
        &2u32.to_le_bytes(),
        &[0; 4],
        &[3, 2, 1, 0, 6, 5, 4, 0],
        rows,
    ]
    .concat()
}

#[test]
fn narrow_and_packed_bitmaps_keep_their_indices() {
    let expected = [1, 0, 1, 0, 0, 1];
    let one = [0b0010_0000, 0, 0, 0, 0b1010_0000, 0, 0, 0];
    let top_down = [0b1010_0000, 0, 0, 0, 0b0010_0000, 0, 0, 0];
    let four = [0x00, 0x10, 0, 0, 0x10, 0x10, 0, 0];
    // Runs: two of 0, one of 1, end of line; one of 1, one of 0, one of 1, end.
    let eight = [2, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 1];
    for (bytes, what) in [
        (bitmap(1, 0, 2, &one), "1 bit"),
        (bitmap(1, 0, -2, &top_down), "1 bit from above"),
        (bitmap(4, 0, 2, &four), "4 bits"),
        (bitmap(8, 1, 2, &eight), "runs of 8 bits"),
    ] {
        let (indices, colors) = indexed(&bytes);
        assert_eq!(indices, expected, "{what}");
        assert_eq!(colors[..2], [[1, 2, 3], [4, 5, 6]], "{what}");
        for end in 0..bytes.len() {
            let _ = decode(&bytes[..end], &[]);
        }
    }
    refused(&bitmap(1, 0, 2, &one[..4]), "ends before its pixels do");
}

#[test]
fn numbers_that_count_from_white_are_refused() {
    let start = 8 + 2 + 9 * 12 + 4;
    for bits in [1, 8] {
        let entries = [
            (256, 3, 1, 3),
            (257, 3, 1, 1),
            (258, 3, 1, bits),
            (259, 3, 1, 1),
            (262, 3, 1, 0), // white is zero
            (273, 4, 1, start),
            (277, 3, 1, 1),
            (278, 3, 1, 1),
            (279, 4, 1, 3),
        ];
        refused(
            &tiff_by_hand(true, &entries, &[0x20, 0x10, 0]),
            "WhiteIsZero",
        );
    }
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
