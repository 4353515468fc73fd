//! Tests of colours: grey, palettes, inks, chroma, L*a*b*, alpha, bands.

use super::*;
use crate::io::inputs::raster::{Alpha, ColorModel};

#[test]
fn white_is_zero_turns_samples_and_nodata_round() {
    let eight = Builder::new((3, 1), 1, 8, 0, &[0, 10, 255]).tag(42113, 2, &ascii("10"));
    let decoded = read(&eight.build());
    assert_eq!(values(&decoded), [255.0, 245.0, 0.0]);
    assert_eq!(decoded.raster.nodata, Some(245.0));
    let four = read(&Builder::new((3, 1), 1, 4, 0, &[0x0f, 0x50]).build());
    assert_eq!(
        (values(&four), four.raster.white),
        (vec![15.0, 0.0, 10.0], 15.0)
    );
    let bits = read(&Builder::new((3, 1), 1, 1, 0, &[0b0100_0000]).build());
    assert_eq!(
        (values(&bits), bits.raster.white),
        (vec![1.0, 0.0, 1.0], 1.0)
    );
}

#[test]
fn nodata_is_read_as_text() {
    let with = |text| {
        read(
            &Builder::new((1, 1), 1, 8, 1, &[0])
                .tag(42113, 2, &ascii(text))
                .build(),
        )
        .raster
        .nodata
    };
    assert_eq!(with("-9999"), Some(-9999.0));
    assert_eq!(
        with(" -3.4028234663852886e+38 "),
        Some(-3.4028234663852886e38)
    );
    assert!(with("nan").unwrap().is_nan());
    assert_eq!(with("none"), None);
}

#[test]
fn palettes_of_16_and_of_8_bits() {
    // Red, green, blue lists of four colours; Pillow writes 8 bits as multiples of 256, others of 257.
    let wide = [
        0, 0x8000, 0xffff, 0x1234, 1, 0x0100, 0xff00, 0x8080, 0, 0, 0, 0xffff,
    ];
    let builder = Builder::new((4, 1), 1, 2, 3, &[0b00_01_10_11]);
    let decoded = read(&builder.clone().tag(320, 3, &wide).build());
    assert_eq!(decoded.raster.colour, ColorModel::Rgb);
    assert_eq!(
        values(&decoded),
        [0, 0, 0, 0x80, 1, 0, 0xff, 0xff, 0, 0x12, 0x80, 0xff].map(f64::from)
    );
    let narrow = [0, 80, 255, 18, 0, 1, 255, 128, 0, 0, 0, 255];
    let decoded = read(&builder.clone().tag(320, 3, &narrow).build());
    assert_eq!(
        values(&decoded),
        [0, 0, 0, 80, 1, 0, 255, 255, 0, 18, 128, 255].map(f64::from)
    );
    assert!(refuse(&builder.build()).contains("palette is missing"));
    assert!(refuse(&builder.tag(320, 3, &[9; 9]).build()).contains("colour 3 of a palette of 3"));
}

#[test]
fn opacity_is_what_the_file_calls_so() {
    let alpha = |samples: u64, photometric, extra: &[u64]| {
        let mut builder = Builder::new((1, 1), samples, 8, photometric, &[1, 2, 3, 4, 5, 6]);
        if !extra.is_empty() {
            builder = builder.tag(338, 3, extra);
        }
        let decoded = read(&builder.build());
        (
            decoded.raster.alpha,
            values(&decoded).len(),
            decoded.notes.len(),
        )
    };
    assert_eq!(alpha(4, 2, &[1]), (Alpha::Premultiplied, 4, 0));
    assert_eq!(alpha(4, 2, &[2]), (Alpha::Straight, 4, 0));
    assert_eq!(alpha(4, 2, &[999]), (Alpha::Straight, 4, 0));
    assert_eq!(alpha(4, 2, &[0]), (Alpha::None, 3, 1));
    assert_eq!(alpha(4, 2, &[]), (Alpha::Straight, 4, 1));
    assert_eq!(alpha(5, 2, &[0, 2]), (Alpha::Straight, 4, 1));
    assert_eq!(alpha(2, 1, &[1]), (Alpha::Premultiplied, 2, 0));
    assert_eq!(alpha(2, 1, &[2]), (Alpha::Straight, 2, 0));
    assert_eq!(alpha(2, 1, &[0]), (Alpha::None, 1, 1));
    assert_eq!(alpha(5, 5, &[2]), (Alpha::Straight, 5, 0));
}

#[test]
fn bands_are_chosen_and_told_of() {
    let pixels: Vec<u8> = (1..=8).collect();
    let bytes = Builder::new((1, 1), 8, 8, 1, &pixels).build();
    let decoded = read(&bytes);
    assert_eq!(values(&decoded), [1.0, 2.0, 3.0]);
    assert_eq!(
        decoded.notes,
        ["has 8 bands; the first three are shown; --bands names others"]
    );
    let show = |bytes: &[u8], bands| decode(bytes, 0, Some(bands), |_| Ok(()));
    let decoded = show(&bytes, [5, 4, 8]).unwrap();
    assert_eq!(
        (values(&decoded), decoded.notes.len()),
        (vec![5.0, 4.0, 8.0], 0)
    );
    let grey = show(&bytes, [7, 7, 7]).unwrap();
    assert_eq!(
        (grey.raster.colour, values(&grey)),
        (ColorModel::Grey, vec![7.0])
    );
    assert_eq!(
        show(&bytes, [1, 2, 9]).unwrap_err(),
        "has no band 9: it has 8 (see --bands)"
    );
    assert!(show(&bytes, [0, 1, 2]).is_err());
    // An alpha sample that is selected as a band is no longer alpha.
    let rgba = Builder::new((1, 1), 4, 8, 2, &[1, 2, 3, 4])
        .tag(338, 3, &[2])
        .build();
    assert_eq!(values(&show(&rgba, [4, 4, 4]).unwrap()), [4.0]);
    assert_eq!(
        values(&show(&rgba, [3, 2, 1]).unwrap()),
        [3.0, 2.0, 1.0, 4.0]
    );
    // Of a palette, the colours are the bands.
    let palette = Builder::new((1, 1), 1, 8, 3, &[1])
        .tag(320, 3, &[0, 10, 0, 20, 0, 30])
        .build();
    assert_eq!(values(&show(&palette, [3, 3, 3]).unwrap()), [30.0]);
}

#[test]
fn inks_are_cyan_magenta_yellow_and_black_or_named() {
    let inks = Builder::new((1, 1), 4, 8, 5, &[1, 2, 3, 4]);
    let decoded = read(&inks.build());
    assert_eq!(
        (decoded.raster.colour, values(&decoded)),
        (ColorModel::Cmyk, vec![1.0, 2.0, 3.0, 4.0])
    );
    assert!(refuse(&inks.tag(332, 3, &[2]).build()).contains("inks that are not cyan"));
}

/// Blocks of 2 x 2 luma samples and one of each chroma.
fn blocks() -> Vec<u8> {
    vec![
        10, 60, 110, 160, 100, 150, 200, 210, 220, 230, 128, 128, 0, 255, 50, 90, 128, 255, 1, 2,
        3, 4, 60, 128,
    ]
}

#[test]
fn raw_chroma_is_spread_over_its_block() {
    let bytes = Builder::new((3, 3), 3, 8, 6, &blocks())
        .tag(530, 3, &[2, 2])
        .build();
    // R = Y + 1.402 Cr, B = Y + 1.772 Cb, G = Y - 0.34414 Cb - 0.71414 Cr; libtiff's tiff2rgba agrees within 1.
    let expected = [
        [41, 4, 0],
        [91, 54, 10],
        [200, 200, 200],
        [141, 104, 60],
        [191, 154, 110],
        [220, 220, 220],
        [178, 0, 0],
        [255, 164, 255],
        [1, 24, 0],
    ];
    let decoded = read(&bytes);
    for (index, (value, expected)) in values(&decoded)
        .iter()
        .zip(expected.as_flattened())
        .enumerate()
    {
        assert!(
            (value - f64::from(*expected)).abs() <= 1.0,
            "sample {index}: {value}, not {expected}"
        );
    }
    let wide = Builder::new((1, 1), 3, 16, 6, &[0; 6])
        .tag(530, 3, &[1, 1])
        .build();
    assert!(refuse(&wide).contains("YCbCr colours of 16 bits"));
}

#[test]
fn reference_black_and_white_stretch_luma() {
    let fractions: Vec<u64> = [16u64, 235, 128, 240, 128, 240]
        .map(|code| 1 << 32 | code)
        .to_vec();
    let builder = Builder::new(
        (3, 1),
        3,
        8,
        6,
        &[16, 128, 128, 235, 128, 128, 125, 128, 240],
    );
    let decoded = read(&builder.tag(530, 3, &[1, 1]).tag(532, 5, &fractions).build());
    // (125 - 16) * 255 / 219 = 126.9; full red chroma is 127 * 1.402 = 178.
    assert_eq!(
        values(&decoded),
        [0, 0, 0, 255, 255, 255, 255, 36, 127].map(f64::from)
    );
}

#[test]
fn lab_comes_in_the_encoding_of_icc() {
    let read_lab = |photometric, bits, pixels: &[u8]| {
        let decoded = read(&Builder::new((1, 1), 3, bits, photometric, pixels).build());
        assert_eq!(decoded.raster.colour, ColorModel::Lab);
        (values(&decoded), decoded.raster.white)
    };
    // L* 100, a* -3, b* 4.
    assert_eq!(
        read_lab(8, 8, &[255, 253, 4]),
        (vec![255.0, 125.0, 132.0], 255.0)
    );
    assert_eq!(
        read_lab(9, 8, &[255, 125, 132]),
        (vec![255.0, 125.0, 132.0], 255.0)
    );
    let wide = |numbers: [u16; 3]| numbers.map(u16::to_le_bytes).concat();
    let expected = vec![65535.0, 125.0 * 257.0, 132.0 * 257.0];
    assert_eq!(
        read_lab(8, 16, &wide([65535, (-3i16 * 256) as u16, 4 * 256])),
        (expected.clone(), 65535.0)
    );
    assert_eq!(
        read_lab(9, 16, &wide([65280, 125 * 256, 132 * 256])),
        (expected, 65535.0)
    );
    // ITU-T T.42: a* from -85 to 85, b* from -75 to 125.
    assert_eq!(
        read_lab(10, 8, &[255, 0, 255]),
        (vec![65535.0, 43.0 * 257.0, 253.0 * 257.0], 65535.0)
    );
    let float = Builder::new((1, 1), 3, 32, 8, &[0; 12])
        .tag(339, 3, &[3; 3])
        .build();
    assert!(refuse(&float).contains("L*a*b*"));
}

#[test]
fn other_colours_are_named() {
    for (photometric, name) in [
        (32803, "camera raw"),
        (34892, "camera raw"),
        (32844, "LogLuv"),
        (32845, "LogLuv"),
        (77, "kind 77"),
    ] {
        let why = refuse(&Builder::new((5, 3), 3, 8, photometric, &rgb()).build());
        assert!(why.contains(name), "{photometric}: {why}");
    }
}
