//! Photo files of many kinds in the built program: faults of a file are reported, and the other photos are processed.
//!
//! The tests see the decoded photo through `dino pca --overlay 0`.

use std::fs;
use std::path::Path;

use image::{ImageFormat, RgbImage, RgbaImage};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Run, command, files_below, finish, sample, store_with_focus};

/// A sample photo, scaled down.
fn small_photo() -> RgbImage {
    let photo = image::open(sample("coffee.png")).unwrap().into_rgb8();
    image::imageops::thumbnail(&photo, 90, 60)
}

fn encode(picture: impl Into<image::DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn folder_with(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn pca_in(folder: &Path, args: &[&str], input: &[u8]) -> Run {
    let mut command = command(&["pca", "--offline", "--size", "56", "--overlay", "0"]);
    command
        .args(args)
        .current_dir(folder)
        .env("DINO_HOME", store_with_focus());
    finish(&mut command, input)
}

fn pca(folder: &TempDir, args: &[&str]) -> Run {
    pca_in(folder.path(), args, b"")
}

/// The decoded photo, read from an output.
fn seen(folder: &TempDir, name: &str) -> RgbImage {
    let path = folder.path().join("dino-out").join(name);
    image::open(path).unwrap().into_rgb8()
}

fn mean_difference(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a
        .iter()
        .zip(b.iter())
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum as f64 / a.len() as f64
}

#[test]
fn a_jpeg_is_whole_if_its_data_are() {
    let whole = encode(small_photo(), ImageFormat::Jpeg);
    let half = [&whole[..whole.len() / 2], b"\xff\xd9"].concat();
    let trailer = [&whole[..whole.len() - 2], b"\0\0\x01\x0aImage_UTC_DataSEFT"].concat();
    let folder = folder_with(&[
        ("half.jpg", half),
        ("trailer.jpg", trailer),
        ("whole.jpg", whole),
    ]);
    let run = pca(&folder, &["half.jpg", "trailer.jpg", "whole.jpg"]).expect_code(1);
    let run = run.expect_stderr("half.jpg: truncated JPEG");
    assert_eq!(run.lines().len(), 2);
    assert_eq!(
        seen(&folder, "trailer.pca.png"),
        seen(&folder, "whole.pca.png")
    );
}

#[test]
fn values_that_fill_little_of_their_range_are_stretched_and_said_once() {
    let thermal = |seed: u16| {
        let picture = image::ImageBuffer::<image::Luma<u16>, _>::from_fn(40, 30, |x, y| {
            image::Luma([20_000 + seed + 10 * (x as u16) + 3 * (y as u16)])
        });
        encode(picture, ImageFormat::Png)
    };
    let folder = folder_with(&[
        ("a.png", thermal(0)),
        ("b.png", thermal(5)),
        ("c.png", thermal(9)),
    ]);
    let run = pca(&folder, &["."]).expect_code(0);
    // Which one is decoded first is a matter of the threads.
    let first = [("a", 0), ("b", 5), ("c", 9)]
        .into_iter()
        .any(|(name, seed)| {
            let (low, high) = (20_000 + seed, 20_477 + seed);
            let words = format!("{name}.png: holds values from {low} to {high} of 0 to 65535");
            run.stderr.contains(&words)
        });
    assert!(first, "{}", run.stderr);
    let run = run.expect_stderr("stretched values: the same of 2 more files");
    assert_eq!(
        run.stderr.matches("holds values").count(),
        1,
        "{}",
        run.stderr
    );
    let values = seen(&folder, "a.pca.png");
    assert_eq!(
        (values.iter().min(), values.iter().max()),
        (Some(&0), Some(&255))
    );
    let run = pca(&folder, &["a.png", "--stretch", "none", "--force"]).expect_code(0);
    assert!(!run.stderr.contains("holds values"), "{}", run.stderr);
    assert!(
        seen(&folder, "a.pca.png")
            .iter()
            .all(|v| (77..=80).contains(v))
    );
}

#[test]
fn pages_and_frames_are_photos_of_their_own() {
    let mut gif = Vec::new();
    let frame = |value| {
        image::Frame::new(RgbaImage::from_pixel(
            30,
            20,
            image::Rgba([value, 9, 9, 255]),
        ))
    };
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
    encoder.encode_frames([50, 150, 250].map(frame)).unwrap();
    drop(encoder);
    let folder = folder_with(&[("a.gif", gif)]);
    let run = pca(&folder, &["a.gif"]).expect_code(0);
    assert_eq!(run.lines().len(), 3, "{:?}", run.lines());
    for (page, value) in [(1, 50), (2, 150), (3, 250)] {
        let picture = seen(&folder, &format!("a.p{page:03}.pca.png"));
        assert!(
            picture.get_pixel(3, 3).0[0].abs_diff(value) < 4,
            "page {page}"
        );
    }
    pca(&folder, &["a.gif", "-o", "one.png"])
        .expect_code(2)
        .expect_stderr("has room for one photo, but there are 3");
    pca(&folder, &["a.gif", "-o", "one.png", "--page", "2"]).expect_code(0);
    let picture = image::open(folder.path().join("one.png"))
        .unwrap()
        .into_rgb8();
    assert!(picture.get_pixel(3, 3).0[0].abs_diff(150) < 4);
    pca(&folder, &["a.gif", "--page", "4"])
        .expect_code(1)
        .expect_stderr("a.gif: holds 3 images, so there is no page 4");
}

#[test]
fn images_on_stdin_are_photos_of_their_own() {
    let folder = folder_with(&[]);
    let photo = small_photo();
    let turned = image::imageops::rotate180(&photo);
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let stream = [
            encode(photo.clone(), format),
            encode(turned.clone(), format),
        ]
        .concat();
        pca_in(folder.path(), &["-", "--force"], &stream).expect_code(0);
        assert!(mean_difference(&seen(&folder, "stdin-00001.pca.png"), &photo) < 6.0);
        assert!(mean_difference(&seen(&folder, "stdin-00002.pca.png"), &turned) < 6.0);
    }
    let one = encode(photo, ImageFormat::Png);
    let run = pca_in(folder.path(), &["-"], &one).expect_code(0);
    assert_eq!(run.lines(), ["dino-out/stdin.pca.png"]);
}

#[test]
fn what_lies_under_transparent_parts_is_not_seen() {
    let photo = small_photo();
    let cutout = |hidden: fn(u32, u32) -> u8| {
        let picture = RgbaImage::from_fn(90, 60, |x, y| match x < 45 {
            true => {
                let [r, g, b] = photo.get_pixel(x, y).0;
                image::Rgba([r, g, b, 255])
            }
            false => image::Rgba([hidden(x, y), hidden(y, x), 7, 0]),
        });
        encode(picture, ImageFormat::Png)
    };
    let folder = folder_with(&[
        ("noise.png", cutout(|x, y| (x * 91 + y * 57) as u8)),
        ("white.png", cutout(|_, _| 255)),
    ]);
    let run = pca(&folder, &["noise.png", "white.png"]).expect_code(0);
    let run = run.expect_stderr("noise.png: has transparent parts");
    assert!(run.stderr.contains("--drop-alpha"), "{}", run.stderr);
    assert_eq!(
        seen(&folder, "noise.pca.png"),
        seen(&folder, "white.pca.png")
    );
    assert_eq!(
        seen(&folder, "noise.pca.png").get_pixel(80, 3).0,
        [124, 116, 104]
    );
    pca(
        &folder,
        &["noise.png", "--background", "#102030", "--force"],
    )
    .expect_code(0);
    assert_eq!(
        seen(&folder, "noise.pca.png").get_pixel(80, 3).0,
        [16, 32, 48]
    );
    pca(&folder, &["noise.png", "--drop-alpha", "--force"]).expect_code(0);
    assert_eq!(seen(&folder, "noise.pca.png").get_pixel(80, 3).0[2], 7);
}

/// An ICC profile for Display P3, whose red lies outside of sRGB.
fn display_p3() -> Vec<u8> {
    moxcms::ColorProfile::new_display_p3().encode().unwrap()
}

#[test]
fn colours_are_brought_to_srgb() {
    use image::ImageEncoder;
    let picture = RgbImage::from_fn(30, 20, |x, _| image::Rgb([200, (8 * x) as u8, 60]));
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(display_p3()).unwrap();
    encoder
        .write_image(&picture, 30, 20, image::ExtendedColorType::Rgb8)
        .unwrap();
    let folder = folder_with(&[("p3.png", bytes)]);
    pca(&folder, &["p3.png"]).expect_code(0);
    // As ImageCms converts it (Pillow 13, littleCMS 2): the same colours in numbers of sRGB.
    let srgb = seen(&folder, "p3.pca.png");
    for (x, expected) in [(0, [219, 0, 55]), (15, [213, 115, 42]), (25, [200, 200, 0])] {
        let found = srgb.get_pixel(x, 5).0;
        let worst = found.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max();
        assert!(worst <= Some(3), "{x}: {found:?}, expected {expected:?}");
    }
    pca(&folder, &["p3.png", "--no-icc", "--force"]).expect_code(0);
    assert_eq!(seen(&folder, "p3.pca.png"), picture);
}

/// The first bytes of a HEIC file.
const HEIC: &[u8] = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic and more";

#[cfg(unix)]
#[test]
fn another_program_decodes_what_this_one_cannot() {
    use std::os::unix::fs::PermissionsExt;
    let photo = encode(small_photo(), ImageFormat::Png);
    let folder = folder_with(&[
        ("a.heic", HEIC.to_vec()),
        ("b.jpg", encode(small_photo(), ImageFormat::Jpeg)),
    ]);
    let tools = folder_with(&[("photo.png", photo)]);
    let script = tools.path().join("heif-dec");
    let from = tools.path().join("photo.png");
    fs::write(
        &script,
        format!("#!/bin/sh\n/bin/cp '{}' \"$2\"\n", from.display()),
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |path: &Path, args: &[&str]| {
        let mut command = command(&["pca", "--offline", "--size", "56", "--overlay", "0"]);
        command
            .args(args)
            .current_dir(folder.path())
            .env("DINO_HOME", store_with_focus())
            .env("PATH", path);
        finish(&mut command, b"")
    };
    run(tools.path(), &["a.heic"]).expect_code(0);
    assert_eq!(seen(&folder, "a.pca.png"), small_photo());
    // Without one, photos of the kind are one failure that says what to do, and the rest goes on.
    fs::write(folder.path().join("c.heic"), HEIC).unwrap();
    let without = run(Path::new("/nowhere"), &[".", "--force", "-o", "out"]).expect_code(1);
    let without = without.expect_stderr("(and 1 more HEIC files)");
    assert_eq!(
        without.stderr.matches("heif-dec IN.heic OUT.png").count(),
        1
    );
    assert_eq!(files_below(&folder.path().join("out")), ["b.pca.png"]);
}

#[test]
fn a_folder_ends_with_what_was_seen_in_it() {
    let photo = small_photo();
    let folder = folder_with(&[
        ("a.jpg", encode(photo.clone(), ImageFormat::Jpeg)),
        ("b.png", encode(photo, ImageFormat::Png)),
        ("clip.mp4", b"\0\0\0\x18ftypisom\0\0\0\0".to_vec()),
        ("notes.txt", b"words".to_vec()),
    ]);
    let run = pca(&folder, &["."]).expect_code(0);
    let run = run.expect_stderr("found 2 photos (1 JPEG, 1 PNG); passed over 1 MP4, 1 other files");
    let run = run.expect_stderr("clip.mp4: is a video clip");
    assert_eq!(run.lines().len(), 2);
    let quiet = pca(&folder, &[".", "-q"]).expect_code(0);
    assert!(!quiet.stderr.contains("found 2 photos"), "{}", quiet.stderr);
    let run = pca(&folder, &[".", "--json", "--force"]).expect_code(0);
    let last: Value = serde_json::from_str(run.lines().last().unwrap()).unwrap();
    let summary = &last["summary"];
    assert_eq!(
        (summary["done"].as_u64(), summary["photos"]["PNG"].as_u64()),
        (Some(2), Some(1))
    );
    let kinds: Vec<&str> = summary["passed_over"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["MP4", "other files"]);
    // Named, it is taken for a clip, where clips are taken.
    pca(&folder, &["clip.mp4"])
        .expect_code(1)
        .expect_stderr("clip.mp4: is truncated");
    crate::program::dino_with_model(folder.path(), &["attention", "clip.mp4"])
        .expect_code(1)
        .expect_stderr("clip.mp4: is a video clip (MP4), not a photo");
}
