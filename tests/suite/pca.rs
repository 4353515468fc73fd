//! `dino pca` on real photos with the real backbone.

use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{Run, dino_with_model, sample};
use crate::results::{as_text, json_lines, open_picture, read_npy};

/// Runs `dino pca` in `folder` on small inputs.
fn pca(folder: &Path, args: &[&str]) -> Run {
    dino_with_model(folder, &[&["pca", "--size", "112"], args].concat())
}

#[test]
fn components_are_fitted_to_the_photo_on_request() {
    let folder = tempdir().unwrap();
    let photo = sample("coffee.png");
    let original = open_picture(&photo);
    // How much of the picture's change lies where the photo changes most.
    let follows = |out: &str, more: &[&str]| {
        let run = pca(
            folder.path(),
            &[&[as_text(&photo), "-o", out, "--json"], more].concat(),
        );
        let report = json_lines(&run.expect_code(0)).remove(0);
        let found = open_picture(folder.path().join(out).join("coffee.pca.png"));
        assert_eq!(found.dimensions(), original.dimensions());
        let change = |of: &RgbImage, x: u32, y: u32| -> u64 {
            let (a, b) = (of.get_pixel(x - 1, y), of.get_pixel(x + 1, y));
            (0..3).map(|c| u64::from(a[c].abs_diff(b[c]))).sum()
        };
        let (mut on_edges, mut all) = (0, 0);
        for (x, y) in
            (0..original.height()).flat_map(|y| (1..original.width() - 1).map(move |x| (x, y)))
        {
            let own = change(&found, x, y);
            all += own;
            if change(&original, x, y) > 120 {
                on_edges += own;
            }
        }
        (on_edges as f64 / all as f64, report)
    };
    let (plain, report) = follows("plain", &[]);
    assert_eq!(report["refined"], false);
    let (fitted, report) = follows("fitted", &["--refine"]);
    assert_eq!(report["refined"], true);
    assert!(fitted > 1.1 * plain, "{fitted} against {plain}");
    // Whole patches: nothing is padded.
    let (rows, cols) = (&report["grid"][0], &report["grid"][1]);
    let side = |of: &Value| of.as_u64().unwrap() * 14;
    assert_eq!(
        report["input_size"],
        serde_json::json!([side(cols), side(rows)])
    );
    pca(
        folder.path(),
        &[as_text(&photo), "--refine", "--upscale", "nearest"],
    )
    .expect_code(2)
    .expect_stderr("--upscale");
}

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
fn the_report_and_the_projections_agree() {
    let folder = tempdir().unwrap();
    let run = pca(
        folder.path(),
        &[
            as_text(&sample("coffee.png")),
            "--raw",
            "--json",
            "--components",
            "1,2,4",
        ],
    );
    let report = json_lines(&run.expect_code(0)).remove(0);
    let (shape, values) = read_npy(folder.path().join("dino-out/coffee.pca.npy"));
    let grid: Vec<u64> = report["grid"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_u64().unwrap())
        .collect();
    assert_eq!(shape, [grid[0], grid[1], 3]);
    // Projections of the fitted set have mean zero and the reported variances, which fall.
    let n = (grid[0] * grid[1]) as f64;
    let variances: Vec<f64> = report["variance"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect();
    for (column, expected) in variances.iter().enumerate() {
        let column: Vec<f64> = values
            .iter()
            .skip(column)
            .step_by(3)
            .map(|&v| f64::from(v))
            .collect();
        let mean = column.iter().sum::<f64>() / n;
        let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        assert!(mean.abs() < 1e-3 * variance.sqrt(), "mean {mean}");
        assert!(
            (variance / expected - 1.0).abs() < 1e-4,
            "{variance} for {expected}"
        );
    }
    assert!(variances.is_sorted_by(|a, b| a > b));
    assert_eq!(report["components"], serde_json::json!([1, 2, 4]));
    assert_eq!(report["model"], "vits14-focus");
    assert_eq!(report["photo_size"], serde_json::json!([600, 400]));
}

#[test]
fn one_fit_over_many_gives_one_colour_one_meaning() {
    let folder = tempdir().unwrap();
    let (a, b) = (sample("chelsea.png"), sample("coffee.png"));
    pca(
        folder.path(),
        &[
            as_text(&a),
            as_text(&b),
            "-o",
            "all",
            "--save-basis",
            "basis.safetensors",
        ],
    )
    .expect_code(0);
    pca(folder.path(), &[as_text(&a), "-o", "one"]).expect_code(0);
    pca(
        folder.path(),
        &[as_text(&a), as_text(&b), "-o", "each", "--fit", "each"],
    )
    .expect_code(0);
    pca(
        folder.path(),
        &[as_text(&a), "-o", "again", "--basis", "basis.safetensors"],
    )
    .expect_code(0);
    let of = |run: &str| open_picture(folder.path().join(run).join("chelsea.pca.png"));
    assert_eq!(
        of("again"),
        of("all"),
        "a saved basis gives the colours of its fit"
    );
    assert_eq!(
        of("each"),
        of("one"),
        "--fit each is the fit of a photo alone"
    );
    assert_ne!(of("all"), of("one"), "a joint fit knows the other photo");
}

#[test]
fn batches_change_nothing() {
    let folder = tempdir().unwrap();
    let files: Vec<PathBuf> = ["chelsea.png", "coffee.png", "astronaut.png"]
        .map(sample)
        .into();
    let args: Vec<&str> = files
        .iter()
        .map(|f| as_text(f))
        .chain(["--size", "112x84", "--raw"])
        .collect();
    let run = |out: &str, batch: &str| {
        let run = dino_with_model(
            folder.path(),
            &[&["pca"], &args[..], &["-o", out, "--batch-size", batch]].concat(),
        );
        run.expect_code(0);
        read_npy(folder.path().join(out).join("coffee.pca.npy")).1
    };
    let (one, three) = (run("one", "1"), run("three", "3"));
    let worst = one
        .iter()
        .zip(&three)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst < 1e-3, "{worst}");
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

/// A JPEG that is stored on its side with an EXIF note gives the picture of its upright twin.
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

#[test]
fn a_basis_refuses_what_it_does_not_fit() {
    let folder = tempdir().unwrap();
    let photo = sample("chelsea.png");
    std::fs::write(folder.path().join("junk"), b"not a basis").unwrap();
    pca(folder.path(), &[as_text(&photo), "--basis", "junk"])
        .expect_code(1)
        .expect_stderr("--save-basis");
    pca(folder.path(), &[as_text(&photo), "--basis", "none"])
        .expect_code(1)
        .expect_stderr("none");
    pca(
        folder.path(),
        &[
            as_text(&photo),
            "--save-basis",
            "b.safetensors",
            "--layer",
            "3",
        ],
    )
    .expect_code(0);
    pca(
        folder.path(),
        &[as_text(&photo), "--save-basis", "b.safetensors"],
    )
    .expect_code(2)
    .expect_stderr("--force");
    // The same file with another model's fingerprint.
    let mut bytes = std::fs::read(folder.path().join("b.safetensors")).unwrap();
    let at = bytes.windows(11).position(|w| w == b"fingerprint").unwrap() + 16;
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    std::fs::write(folder.path().join("other.safetensors"), bytes).unwrap();
    let run = pca(
        folder.path(),
        &[as_text(&photo), "--basis", "other.safetensors", "-o", "x"],
    );
    run.expect_code(1)
        .expect_stderr("was fitted with vits14-focus");
}
