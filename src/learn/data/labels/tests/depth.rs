//! Depths read from maps of every format.

use std::num::NonZeroU32;

use png::{BitDepth, ColorType};

use super::{Filed, filed, npy, npz, png};
use crate::error::Result;
use crate::io::output::{
    CONTENT_KEY, DEPTH_CONTENT, FloatFormat, FloatMap, PngPixels, UNIT_KEY, write_png,
};
use crate::learn::data::labels::{DepthLabel, DepthLabelReader, read_depth};
use crate::model::head::RELATIVE_INVERSE_DEPTH;
use crate::terminal::warnings::Warnings;
use crate::vision::postprocess::rows::InMemoryRows;

/// The metres of a file, and the kinds of its warnings.
fn read_as(scale: Option<f64>, file: &Filed) -> Result<(Vec<f32>, Vec<&'static str>)> {
    let warnings = Warnings::silent();
    let DepthLabel { metres, .. } =
        DepthLabelReader::new(scale, warnings.clone()).read(&file.path)?;
    Ok((
        metres,
        warnings.counts().iter().map(|count| count.kind).collect(),
    ))
}

#[track_caller]
fn reads(scale: Option<f64>, bytes: &[u8], metres: &[f32], kinds: &[&str]) {
    // The extension is wrong on purpose; the content decides.
    let (found, warned) = read_as(scale, &filed("depth.jpg", bytes)).unwrap();
    assert_eq!((&found[..], &warned[..]), (metres, kinds));
}

#[track_caller]
fn refuses(scale: Option<f64>, bytes: &[u8], words: &[&str]) {
    let why = read_as(scale, &filed("depth.npy", bytes))
        .unwrap_err()
        .to_string();
    for word in words {
        assert!(why.contains(word), "{word:?} is not in {why}");
    }
}

fn grey16(values: &[u16]) -> Vec<u8> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect();
    let size = (values.len() as u32, 1);
    png(size, ColorType::Grayscale, BitDepth::Sixteen, &[], &bytes)
}

fn single(values: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    npy("<f4", false, &format!("(1, {}, 1)", values.len()), &bytes)
}

#[test]
fn whole_numbers_are_in_units_and_floats_in_metres() {
    reads(None, &grey16(&[0, 2560]), &[0.0, 2.56], &[]);
    reads(Some(256.0), &grey16(&[0, 2560]), &[0.0, 10.0], &[]);
    reads(Some(5000.0), &grey16(&[0, 2500]), &[0.0, 0.5], &[]);
    reads(
        None,
        &npy(">i4", true, "(2, 1)", &[0, 0, 3, 232, 0, 0, 0, 0]),
        &[1.0, 0.0],
        &[],
    );
    reads(None, &single(&[1.5, 2.0]), &[1.5, 2.0], &[]);
    reads(
        Some(1000.0),
        &single(&[1.5, 2.0]),
        &[1.5, 2.0],
        &["depth in floats"],
    );
    let scaled = [b"Pf\n1 1\n-0.004\n", &1.5f32.to_le_bytes()[..]].concat();
    reads(None, &scaled, &[1.5], &["scale factor of a PFM"]);
    let file = filed("a.png", &grey16(&[0, 2560]));
    assert_eq!(read_depth(&file.path, 256.0).unwrap().metres, [0.0, 10.0]);
}

#[test]
fn a_named_scale_holds_for_floats_that_can_be_no_metres() {
    reads(
        Some(1000.0),
        &single(&[2500.0, 1000.0, 3000.0]),
        &[2.5, 1.0, 3.0],
        &["depth in floats of another unit"],
    );
    // These can be metres, as can floats without a named scale.
    reads(
        Some(1000.0),
        &single(&[2.5, 1.0]),
        &[2.5, 1.0],
        &["depth in floats"],
    );
    reads(None, &single(&[2500.0]), &[2500.0], &[]);
}

#[test]
fn what_is_no_distance_is_no_reading() {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 0.0, 2.0];
    reads(None, &single(&odd), &[0.0, 0.0, 0.0, 0.0, 0.0, 2.0], &[]);
    refuses(None, &single(&odd[..5]), &["no reading"]);
    refuses(None, &grey16(&[0, 0]), &["no reading"]);
}

#[test]
fn pictures_of_depth_are_refused_unless_insisted_on() {
    let bytes = png(
        (2, 1),
        ColorType::Grayscale,
        BitDepth::Eight,
        &[],
        &[0, 200],
    );
    refuses(None, &bytes, &["8 bits", "--depth-scale"]);
    reads(Some(100.0), &bytes, &[0.0, 2.0], &[]);
    refuses(None, &npy("|u1", false, "(1, 1)", &[9]), &["NPY of 8 bits"]);
    let equal = png((1, 1), ColorType::Rgb, BitDepth::Eight, &[], &[50; 3]);
    refuses(None, &equal, &["8 bits"]);
    reads(Some(100.0), &equal, &[0.5], &[]);
    let ramp: Vec<[u8; 3]> = (0..=255).map(|i| [i; 3]).collect();
    let ramp = png((1, 1), ColorType::Indexed, BitDepth::Eight, &ramp, &[50]);
    refuses(None, &ramp, &["8 bits"]);
    reads(Some(100.0), &ramp, &[0.5], &[]);
    let widened: Vec<u16> = [9, 50, 120, 200].map(|level| level * 257).to_vec();
    refuses(None, &grey16(&widened), &["times 257", "--depth-scale"]);
    // Three numbers may be multiples by chance.
    reads(None, &grey16(&[2570, 2570]), &[2.57, 2.57], &[]);

    let colors = png((1, 1), ColorType::Rgb, BitDepth::Eight, &[], &[1, 2, 3]);
    refuses(Some(1000.0), &colors, &["in colours", "one number a pixel"]);
    refuses(None, &npy("|b1", false, "(1, 1)", &[1]), &["bool"]);
    let mut own = Vec::new();
    write_png(&mut own, (1, 1), PngPixels::Rgb8(&[1, 2, 3]), &[]).unwrap();
    refuses(Some(1000.0), &own, &["dino drew", "--save npy"]);
}

#[test]
fn relative_depth_is_no_label() {
    let text = [(UNIT_KEY, RELATIVE_INVERSE_DEPTH.to_owned())];
    let map = FloatMap {
        rows: &InMemoryRows {
            width: 2,
            values: &[1.5, 2.5],
        },
        text: &text,
    };
    for format in [FloatFormat::Exr, FloatFormat::Tiff] {
        let mut bytes = Vec::new();
        format.write(&mut bytes, &map).unwrap();
        refuses(None, &bytes, &[RELATIVE_INVERSE_DEPTH, "--scale"]);
    }
}

#[test]
fn what_this_program_writes_reads_back() {
    let values: Vec<f32> = (0..35 * 20).map(|i| 0.7 + i as f32 / 31.0).collect();
    let text = [
        (CONTENT_KEY, DEPTH_CONTENT.to_owned()),
        (UNIT_KEY, "m".to_owned()),
    ];
    let map = FloatMap {
        rows: &InMemoryRows {
            width: 35,
            values: &values,
        },
        text: &text,
    };
    let written = |format: FloatFormat, map: &FloatMap<'_>| {
        let mut bytes = Vec::new();
        assert_eq!(format.write(&mut bytes, map).unwrap(), 0);
        bytes
    };
    let exact = [
        FloatFormat::Npy,
        FloatFormat::Pfm,
        FloatFormat::Exr,
        FloatFormat::Tiff,
    ];
    for format in exact {
        let file = filed("depth", &written(format, &map));
        let depth = DepthLabelReader::new(None, Warnings::silent())
            .read(&file.path)
            .unwrap();
        assert_eq!((depth.width, depth.height), (35, 20), "{format:?}");
        assert_eq!(depth.metres, values, "{format:?}");
    }
    for scale in [1000u32, 256, 5000] {
        let format = FloatFormat::Png16(NonZeroU32::new(scale).unwrap());
        let low: Vec<f32> = values.iter().map(|value| value / 2.0).collect();
        let file = filed(
            "depth",
            &written(
                format,
                &FloatMap {
                    rows: &InMemoryRows {
                        width: 35,
                        values: &low,
                    },
                    ..map
                },
            ),
        );
        let worst = |found: &[f32]| {
            let errors = found.iter().zip(&low).map(|(a, b)| (a - b).abs());
            errors.fold(0.0, f32::max)
        };
        // The file's own scale, even if another one is named.
        let (found, warned) = read_as(None, &file).unwrap();
        assert!(
            worst(&found) <= 0.5001 / scale as f32,
            "{scale}: {}",
            worst(&found)
        );
        assert_eq!(warned, [""; 0]);
        let (same, warned) = read_as(Some(777.0), &file).unwrap();
        assert_eq!((same, warned), (found, vec!["scale of the file itself"]));
    }
    let deviation = [(CONTENT_KEY, "standard deviation of depth".to_owned())];
    for format in &exact[2..] {
        let map = FloatMap {
            text: &deviation,
            ..map
        };
        let (_, warned) = read_as(None, &filed("depth", &written(*format, &map))).unwrap();
        assert_eq!(warned, ["maps of something else"], "{format:?}");
    }
}

#[test]
fn the_mask_of_diode_is_applied() {
    let file = filed("00019_indoors_000_depth.npy", &single(&[1.5, 2.5, 3.5]));
    let beside = file.folder.path().join("00019_indoors_000_depth_mask.npy");
    let mask = [1f64, 0.0, 1.0].map(f64::to_le_bytes);
    std::fs::write(&beside, npy("<f8", false, "(1, 3)", mask.as_flattened())).unwrap();
    assert_eq!(read_as(None, &file).unwrap().0, [1.5, 0.0, 3.5]);
    std::fs::write(&beside, npy("<f8", false, "(3, 1)", mask.as_flattened())).unwrap();
    let why = read_as(None, &file).unwrap_err().to_string();
    assert!(
        why.contains("depth_mask.npy") && why.contains("1 x 3"),
        "{why}"
    );
}

#[test]
fn an_archive_names_its_depth() {
    let archive = npz(&[("image", single(&[9.0])), ("depth", single(&[1.5]))]);
    reads(None, &archive, &[1.5], &[]);
    refuses(
        None,
        &npz(&[("a", single(&[9.0])), ("b", single(&[1.5]))]),
        &["a, b", "depth"],
    );
}

#[test]
fn transparent_depth_is_refused() {
    let bytes = [7u16, 65535, 9, 0].map(u16::to_be_bytes);
    let bytes = png(
        (2, 1),
        ColorType::GrayscaleAlpha,
        BitDepth::Sixteen,
        &[],
        bytes.as_flattened(),
    );
    refuses(None, &bytes, &["1 pixels", "without alpha"]);
}
