//! Pictures of components: sizes, foreground, overlays, orientation; and wrong options.

use image::{Rgb, RgbImage};
use tempfile::tempdir;

use super::pca;
use crate::program::{dino_with_model, sample};
use crate::results::{as_text, json_lines, open_picture};

#[test]
fn a_photo_becomes_a_picture_of_its_own_size() {
    let folder = tempdir().unwrap();
    let run = pca(folder.path(), &[as_text(&sample("chelsea.png"))]).expect_code(0);
    assert_eq!(run.lines(), ["dino-out/chelsea.pca.png"]);
    let found = open_picture(folder.path().join("dino-out/chelsea.pca.png"));
    assert_eq!(found.dimensions(), (451, 300));
    // Eye and background are different parts, so they have different colours.
    let distance: i32 = found
        .get_pixel(165, 125)
        .0
        .iter()
        .zip(found.get_pixel(430, 250).0)
        .map(|(&a, b)| (i32::from(a) - i32::from(b)).abs())
        .sum();
    assert!(
        distance > 100,
        "eye {:?}, background {:?}",
        found.get_pixel(165, 125),
        found.get_pixel(430, 250)
    );
}

#[test]
fn foreground_paints_the_background_black() {
    let folder = tempdir().unwrap();
    let run = pca(
        folder.path(),
        &[
            as_text(&sample("coffee.png")),
            "--foreground",
            "auto",
            "--json",
        ],
    );
    let report = json_lines(&run.expect_code(0)).remove(0);
    let share = report["foreground_share"].as_f64().unwrap();
    assert!((0.05..0.9).contains(&share), "{share}");
    let found = open_picture(folder.path().join("dino-out/coffee.pca.png"));
    assert_eq!(
        found.get_pixel(20, 20),
        &Rgb([0, 0, 0]),
        "the table's edge is background"
    );
    assert_ne!(
        found.get_pixel(300, 180),
        &Rgb([0, 0, 0]),
        "the cup is foreground"
    );
    let error = pca(
        folder.path(),
        &[
            as_text(&sample("coffee.png")),
            "--foreground",
            "1e9",
            "-o",
            "x",
        ],
    );
    error.expect_code(2).expect_stderr("--foreground");
}

#[test]
fn pictures_beside_and_over_the_photo() {
    let folder = tempdir().unwrap();
    let photo = sample("chelsea.png");
    let run = |out: &str, more: &[&str]| {
        pca(
            folder.path(),
            &[&[as_text(&photo), "-o", out], more].concat(),
        )
        .expect_code(0);
        open_picture(folder.path().join(out))
    };
    let plain = run("plain.png", &[]);
    let both = run("both.png", &["--side-by-side"]);
    let over = run("over.png", &["--overlay", "0.5"]);
    let nearest = run("nearest.png", &["--upscale", "nearest"]);
    let original = open_picture(&photo);
    assert_eq!(both.dimensions(), (902, 300));
    assert_eq!(both.get_pixel(10, 10), original.get_pixel(10, 10));
    assert_eq!(both.get_pixel(451 + 10, 10), plain.get_pixel(10, 10));
    let mixed = over
        .get_pixel(200, 100)
        .0
        .iter()
        .zip(original.get_pixel(200, 100).0)
        .zip(plain.get_pixel(200, 100).0);
    assert!(
        mixed
            .into_iter()
            .all(|((&o, a), b)| (i32::from(o) * 2 - i32::from(a) - i32::from(b)).abs() <= 2)
    );
    assert_ne!(nearest, plain);
}

/// A JPEG that is stored on its side with an EXIF orientation gives the picture of its upright twin.
#[test]
fn rotated_photos_give_the_upright_picture() {
    let folder = tempdir().unwrap();
    let upright = open_picture(sample("chelsea.png"));
    let jpeg = |image: &RgbImage, orientation: u8, name: &str| {
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95)
            .encode_image(image)
            .unwrap();
        // An EXIF segment with one entry, the orientation, after the start marker.
        let mut exif =
            b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        bytes.splice(2..2, exif);
        std::fs::write(folder.path().join(name), bytes).unwrap();
    };
    jpeg(&upright, 1, "upright.jpg");
    jpeg(&image::imageops::rotate270(&upright), 6, "turned.jpg");
    pca(
        folder.path(),
        &["upright.jpg", "turned.jpg", "--fit", "each"],
    )
    .expect_code(0);
    let a = open_picture(folder.path().join("dino-out/upright.pca.png"));
    let b = open_picture(folder.path().join("dino-out/turned.pca.png"));
    assert_eq!(a.dimensions(), b.dimensions());
    let differs = a
        .iter()
        .zip(b.iter())
        .map(|(x, y)| f64::from(x.abs_diff(*y)))
        .sum::<f64>()
        / a.len() as f64;
    assert!(
        differs < 6.0,
        "the pictures differ by {differs:.1} levels on average"
    );
}

#[test]
fn odd_sizes_work() {
    let folder = tempdir().unwrap();
    for (width, height) in [(1, 1), (3000, 40), (40, 3000), (13, 15)] {
        let name = format!("{width}x{height}.png");
        RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 99]))
            .save(folder.path().join(&name))
            .unwrap();
        let run = dino_with_model(folder.path(), &["pca", "--size", "56", &name]).expect_code(0);
        let found = open_picture(folder.path().join(&run.lines()[0]));
        assert_eq!(found.dimensions(), (width, height));
    }
    let run = dino_with_model(
        folder.path(),
        &["pca", "--size", "56", "3000x40.png", "--force"],
    )
    .expect_code(0);
    run.expect_stderr("so long a strip is seen at 893x12");
    dino_with_model(
        folder.path(),
        &["pca", "--size", "native", "40x3000.png", "--force"],
    )
    .expect_code(0);
}

#[test]
fn wrong_wishes_are_explained() {
    let folder = tempdir().unwrap();
    let photo = sample("chelsea.png");
    for (args, words) in [
        (&["--layer", "12"][..], "blocks 0 to 11"),
        (&["--layer", "-13"], "-12 to -1"),
        (&["--components", "1,2,400"], "--components"),
        (&["--components", "0"], "from 1"),
        (&["--size", "huge"], "native"),
        (&["--overlay", "2"], "0 to 1"),
        (&["--dtype", "bf16"], "bf16"),
        (&["--basis", "a", "--whiten"], "--basis"),
    ] {
        pca(folder.path(), &[&[as_text(&photo)], args].concat())
            .expect_code(2)
            .expect_stderr(words);
    }
    pca(folder.path(), &[as_text(&photo), "--model", "vitx"])
        .expect_code(1)
        .expect_stderr("vitx");
    assert!(
        !folder.path().join("dino-out").exists(),
        "nothing was written"
    );
}
