//! Tests of truncated, inconsistent and unsupported files: an error message, never a panic.

use super::*;
use crate::io::inputs::footprint::Footprint;

const TRUNCATED: &str = "truncated TIFF: the file ends before the image does";

#[test]
fn a_file_cut_anywhere_is_truncated() {
    let bytes = Builder::new((5, 3), 3, 8, 2, &rgb()).build();
    for length in 2..bytes.len() {
        assert_eq!(refuse(&bytes[..length]), TRUNCATED, "{length} bytes");
    }
    // The directory comes first here, as tifffile writes it.
    let fixture = include_bytes!("../../../../../tests/fixtures/tiff/jpeg-ycbcr.tif");
    for cut in [1, 2, 5, 50, 400] {
        assert_eq!(
            refuse(&fixture[..fixture.len() - cut]),
            TRUNCATED,
            "{cut} bytes"
        );
    }
}

#[test]
fn a_short_strip_in_a_whole_file_is_damaged() {
    let short =
        Builder::new((5, 3), 3, 8, 2, &[]).chunks(&[rgb()[..20].to_vec(), rgb()[30..].to_vec()]);
    let why = refuse(&short.tag(278, 4, &[2]).build());
    assert_eq!(
        why,
        "damaged TIFF: number 1 of its 2 strips ends before its pixels do"
    );
    let few = Builder::new((5, 3), 3, 8, 2, &rgb())
        .tag(278, 4, &[1])
        .build();
    assert_eq!(
        refuse(&few),
        "damaged TIFF: it has 1 of the 3 strips that its size needs"
    );
}

#[test]
fn lying_sizes_cost_nothing() {
    let builder = Builder::new((5, 3), 3, 8, 2, &rgb());
    let checked = |bytes: &[u8]| {
        decode(bytes, 0, None, |footprint| {
            Err(format!("{} x {}", footprint.width, footprint.height))
        })
    };
    let huge = builder
        .clone()
        .tag(256, 4, &[u32::MAX.into()])
        .tag(257, 4, &[u32::MAX.into()])
        .build();
    assert_eq!(checked(&huge).unwrap_err(), "4294967295 x 4294967295");
    let tiles = builder
        .clone()
        .tag(322, 4, &[0xffff_fff0])
        .tag(323, 4, &[0xffff_fff0])
        .build();
    assert!(refuse(&tiles).contains("larger than the image"));
    let samples = builder
        .clone()
        .tag(277, 3, &[65535])
        .tag(258, 3, &[8])
        .build();
    assert_eq!(refuse(&samples), TRUNCATED);
    let none = builder.clone().tag(256, 4, &[0]).build();
    assert!(refuse(&none).contains("no pixels"));
    // A count of values that reaches behind the end of the file.
    let mut bytes = builder.build();
    let at = bytes
        .windows(4)
        .position(|window| window == [2, 1, 3, 0])
        .unwrap();
    bytes[at + 4..at + 8].copy_from_slice(&[255; 4]);
    assert_eq!(refuse(&bytes), TRUNCATED);
}

#[test]
fn compressions_that_cannot_be_read_are_named() {
    for (number, name) in [
        (6, "old-style JPEG"),
        (9, "JBIG"),
        (34712, "JPEG 2000"),
        (33003, "JPEG 2000"),
        (34925, "LZMA"),
        (34887, "LERC"),
        (50002, "JPEG XL"),
        (34677, "SGI LogLuv"),
        (99, "method 99"),
    ] {
        let why = refuse(
            &Builder::new((5, 3), 3, 8, 2, &rgb())
                .tag(259, 3, &[number])
                .build(),
        );
        assert!(why.contains(&format!("compressed with {name}")), "{why}");
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let mut random = fastrand::Rng::with_seed(17);
    for (name, bytes) in fixtures::all() {
        for _ in 0..150 {
            let mut bytes = bytes.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..bytes.len());
                // Headers and directories are at both ends.
                let at = [at, at % 200, bytes.len() - 1 - at % 200][random.usize(..3)];
                bytes[at] =
                    [random.u8(..), 0, 255, bytes[at] ^ 1 << random.u8(..8)][random.usize(..4)];
            }
            let small = |footprint: Footprint| match footprint.pixels() < 1 << 20 {
                true => Ok(()),
                false => Err("too large".to_owned()),
            };
            if let Ok(decoded) = decode(&bytes, 0, None, small) {
                assert!(decoded.raster.is_whole(), "{name}");
            }
        }
    }
}
