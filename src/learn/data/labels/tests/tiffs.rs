//! TIFF: numbers of every width, palettes and planes.

use std::io::Cursor;

use tiff::encoder::{Compression, TiffEncoder, colortype};

use super::{floats, indexed, integers, read, refused};
use crate::learn::data::labels::raster::RasterContent;

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
