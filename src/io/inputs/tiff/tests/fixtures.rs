//! Files that libtiff, tifffile and Pillow wrote (`tests/fixtures/make.py`).

use super::*;

macro_rules! fixtures {
    ($($name:literal),* $(,)?) => {
        /// Name and bytes of every fixture.
        pub(super) fn all() -> Vec<(&'static str, Vec<u8>)> {
            vec![$(($name, include_bytes!(concat!("../../../../../tests/fixtures/tiff/", $name, ".tif")).to_vec())),*]
        }
    };
}

fixtures![
    "ccitt-rle",
    "deflate-planes",
    "float-predictor",
    "group3",
    "group3-2d",
    "group4",
    "group4-reversed",
    "half-predictor",
    "jpeg-rgb",
    "jpeg-ycbcr",
    "lzw-predictor",
    "packbits",
    "webp",
    "zstd-tiles",
];

/// Every sample of 40 x 24 pixels.
fn formula(channels: usize, at: impl Fn(usize, usize, usize) -> f64) -> Vec<f64> {
    let places = (0..24).flat_map(|y| (0..40).map(move |x| (x, y)));
    places
        .flat_map(|(x, y)| {
            (0..channels)
                .map(|channel| at(x, y, channel))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn lossless_fixtures_are_exact() {
    let rgb = formula(3, |x, y, channel| {
        [6 * x, 10 * y, x * y % 256][channel] as f64
    });
    let bilevel = formula(1, |x, y, _| ((x * x + y * y) / 50 % 2) as f64);
    let floats = formula(1, |x, y, _| (x * y % 256) as f64 / 8.0);
    for (name, bytes) in all() {
        let expected = match name {
            "jpeg-rgb" | "jpeg-ycbcr" => continue,
            "ccitt-rle" | "group3" | "group3-2d" | "group4" | "group4-reversed" => &bilevel,
            "float-predictor" | "half-predictor" => &floats,
            _ => &rgb,
        };
        assert!(values(&read(&bytes)) == *expected, "{name}");
    }
}

#[test]
fn jpegs_are_as_pillow_reads_them() {
    for (name, png, tolerance) in [
        (
            "jpeg-rgb",
            include_bytes!("../../../../../tests/fixtures/tiff/jpeg-rgb.png").as_slice(),
            1.0,
        ),
        (
            "jpeg-ycbcr",
            include_bytes!("../../../../../tests/fixtures/tiff/jpeg-ycbcr.png").as_slice(),
            3.0,
        ),
    ] {
        let (_, bytes) = all().into_iter().find(|(other, _)| *other == name).unwrap();
        let expected = image::load_from_memory(png).unwrap().into_rgb8();
        let worst = values(&read(&bytes))
            .iter()
            .zip(expected.iter())
            .map(|(a, &b)| (a - f64::from(b)).abs())
            .fold(0.0, f64::max);
        assert!(worst <= tolerance, "{name}: off by {worst}");
    }
}
