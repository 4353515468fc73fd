//! The depth map: expectation over the bins, flipping, windows, padding, and photos of odd sizes.

use dino::model::head::{HeadNetwork, LinearHead};
use image::RgbImage;
use serde_json::json;
use tempfile::tempdir;

use super::{depth, depth_head, folder_with_head, save};
use crate::program::sample;
use crate::results::{as_text, first_json, open_picture, read_npy};

#[test]
fn a_head_without_weights_gives_the_expectation_of_its_bins() {
    let folder = tempdir().unwrap();
    let head = depth_head(0.0);
    save(&head, &folder.path().join("head.safetensors"));
    // The paper's formula in f64.
    let mut sums = [0f64; 3];
    let HeadNetwork::Linear(LinearHead { output, .. }) = &head.network else {
        panic!("a linear head");
    };
    for (i, &score) in output.bias.iter().enumerate() {
        let centre = 0.5 * 200f64.powf(i as f64 / 15.0);
        let p = f64::from(score).max(0.0) + 0.1;
        let terms = [p, p * centre, p * centre * centre];
        sums.iter_mut().zip(terms).for_each(|(sum, t)| *sum += t);
    }
    let (mean, second) = (sums[1] / sums[0], sums[2] / sums[0]);
    let run = depth(
        folder.path(),
        &[
            as_text(&sample("chelsea.png")),
            "--json",
            "--save",
            "npy",
            "--uncertainty",
        ],
    )
    .expect_code(0);
    for (name, expected) in [("", mean), ("std.", (second - mean * mean).sqrt())] {
        let path = format!("dino-out/chelsea.depth.{name}npy");
        let (shape, values) = read_npy(folder.path().join(path));
        assert_eq!(shape, [300, 451]);
        let worst = values.iter().map(|&v| (f64::from(v) - expected).abs());
        assert!(
            worst.fold(0.0, f64::max) < 1e-3 * expected,
            "{name}{expected}"
        );
    }
    let said = first_json(&run)["depth"]["mean"].as_f64().unwrap();
    assert!((said - mean).abs() < 1e-2, "{said} for {mean}");
}

#[test]
fn flipping_the_photo_flips_the_map() {
    let folder = folder_with_head();
    let photo = open_picture(sample("chelsea.png"));
    photo.save(folder.path().join("a.png")).unwrap();
    image::imageops::flip_horizontal(&photo)
        .save(folder.path().join("b.png"))
        .unwrap();
    // A size at which the padding is the same on both sides.
    let args = ["a.png", "b.png", "--save", "npy", "--size", "154x110"];
    depth(folder.path(), &[&args[..], &["--tta", "flip"]].concat()).expect_code(0);
    depth(folder.path(), &[&args[..], &["-o", "plain"]].concat()).expect_code(0);
    let worst = |folder: std::path::PathBuf| {
        let [a, b] = ["a", "b"].map(|stem| read_npy(folder.join(format!("{stem}.depth.npy"))).1);
        let rows = a.chunks(451).zip(b.chunks(451));
        let pairs = rows.flat_map(|(a, b)| a.iter().zip(b.iter().rev()));
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let (flip, plain) = (
        worst(folder.path().join("dino-out")),
        worst(folder.path().join("plain")),
    );
    assert!(flip < 2e-2 && plain > 10.0 * flip, "{flip} {plain}");
}

#[test]
fn windows_see_more_and_one_window_sees_the_same() {
    let folder = folder_with_head();
    let photo = open_picture(sample("chelsea.png"));
    let small = image::imageops::crop_imm(&photo, 100, 50, 112, 112).to_image();
    small.save(folder.path().join("small.png")).unwrap();
    let run = |out: &str, args: &[&str]| {
        let args = [&["--save", "npy", "-v", "-o", out], args].concat();
        depth(folder.path(), &args).expect_code(0)
    };
    let worst = |a: &str, b: &str| {
        let [a, b] = [a, b].map(|stem| read_npy(folder.path().join(format!("{stem}.depth.npy"))).1);
        let pairs = a.iter().zip(&b);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    run("at-once", &["small.png"]);
    run("windows", &["small.png", "--slide"]).expect_stderr("1 windows");
    assert!(worst("at-once/small", "windows/small") < 1e-3);

    // 451 x 300 pixels are 33 x 22 patches, in windows of 8 that move by 5.
    let chelsea = sample("chelsea.png");
    let args = [as_text(&chelsea), "--slide", "--json"];
    let fine = run("fine", &args).expect_stderr("24 windows");
    assert_eq!(first_json(&fine)["grid"], json!([22, 33]));
    run("batched", &[&args[..], &["--batch-size", "5"]].concat());
    assert!(worst("fine/chelsea", "batched/chelsea") < 1e-2);
    run("flipped", &[&args[..], &["--tta", "flip"]].concat());
    assert!(worst("fine/chelsea", "flipped/chelsea") > 0.1);
    run(
        "coarse",
        &[
            as_text(&chelsea),
            "--slide",
            "--size",
            "168",
            "--stride",
            "1",
        ],
    )
    .expect_stderr("6 windows");
    let args = [as_text(&chelsea), "--stride", "0.5"];
    depth(folder.path(), &args)
        .expect_code(2)
        .expect_stderr("--slide");
}

#[test]
fn a_head_says_how_edges_are_padded() {
    let folder = tempdir().unwrap();
    let mut head = depth_head(0.2);
    head.meta.input.padding = "none".into();
    save(&head, &folder.path().join("head.safetensors"));
    let photo = sample("chelsea.png");
    let run = depth(folder.path(), &[as_text(&photo), "--json"]).expect_code(0);
    // 168 x 112 without padding: 12 x 8 patches.
    assert_eq!(first_json(&run)["input_size"], json!([168, 112]));
    let args = [as_text(&photo), "--json", "--size", "100", "--force"];
    let run = depth(folder.path(), &args).expect_code(0);
    assert_eq!(first_json(&run)["input_size"], json!([154, 98]));
}

#[test]
fn odd_sizes_work() {
    let folder = folder_with_head();
    for (width, height) in [(1, 1), (3000, 40), (40, 3000)] {
        let name = format!("{width}x{height}.png");
        RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 99]))
            .save(folder.path().join(&name))
            .unwrap();
        let args = [&name, "--size", "56", "--save", "npy", "--pointcloud"];
        let run = depth(folder.path(), &args).expect_code(0);
        let found = open_picture(folder.path().join(&run.lines()[0]));
        assert!(found.width() > width && found.height() >= height);
        assert!(
            run.stderr
                .contains("no focal length is known: it has no EXIF block")
        );
        assert!(run.lines()[2].ends_with(".depth.ply"), "{:?}", run.lines());
    }
}
