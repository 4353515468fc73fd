//! Bad data sets give error messages, and several data sets are trained on with one list of classes.

use std::fs;

use dino::io::output::PngPixels;
use image::{Rgb, RgbImage};
use tempfile::tempdir;

use super::{SIDE, blocks, figures, ramps, toy, train, write_grey};
use crate::program::dino_with_model;

#[test]
fn bad_data_gets_a_sentence() {
    let folder = toy();
    let at = folder.path();
    let quick = ["--epochs", "1", "--patches", "200"];
    let run = |data: &str, task: &str, more: &[&str]| {
        train(
            at,
            task,
            data,
            "x.safetensors",
            &[&quick[..], &["--force"], more].concat(),
        )
    };
    run("nowhere", "segment", &["--classes", "toy/classes.json"])
        .expect_code(1)
        .expect_stderr("nowhere");
    run("toy", "depth", &[])
        .expect_code(1)
        .expect_stderr("depth/");
    fs::create_dir_all(at.join("few/images")).unwrap();
    fs::create_dir_all(at.join("few/masks")).unwrap();
    for i in 0..2 {
        for (part, name) in [("images", "png"), ("masks", "png")] {
            let file = format!("{part}/{i}.{name}");
            fs::copy(at.join("toy").join(&file), at.join("few").join(&file)).unwrap();
        }
    }
    run("few", "segment", &["--classes", "toy/classes.json"])
        .expect_code(1)
        .expect_stderr("too few");
    // One mask in colours and one with an unknown id: reported, and the rest is learnt from.
    let photo = fs::read(at.join("toy/images/0.png")).unwrap();
    fs::write(at.join("toy/masks/0.png"), photo).unwrap();
    let ids = vec![9; (SIDE * SIDE) as usize];
    write_grey(
        &at.join("toy/masks/1.png"),
        (SIDE, SIDE),
        PngPixels::Gray8(&ids),
    );
    let mixed = run("toy", "segment", &[]).expect_code(1);
    let mixed = mixed
        .expect_stderr("has the colour (200, 40, 30) at pixel 0,0, which is no class's")
        .expect_stderr("class id 9");
    mixed.expect_stderr("2 of");
    assert!(at.join("x.safetensors").is_file());
    // Depth maps without any reading: nothing to learn from, and why.
    ramps(&at.join("empty"), 5);
    for i in 0..5 {
        let path = at.join(format!("empty/depth/{i}.png"));
        write_grey(
            &path,
            (SIDE, SIDE),
            PngPixels::Gray16(&vec![0; (SIDE * SIDE) as usize]),
        );
    }
    run("empty", "depth", &[])
        .expect_code(1)
        .expect_stderr("no reading")
        .expect_stderr("nothing to train on");
    // A constant picture is no reason to fail.
    for i in 0..8 {
        let grey = RgbImage::from_pixel(SIDE, SIDE, Rgb([90; 3]));
        grey.save(at.join(format!("toy/images/{i}.png"))).unwrap();
    }
    blocks(&at.join("masks-of"), 8);
    fs::remove_dir_all(at.join("toy/masks")).unwrap();
    fs::rename(at.join("masks-of/masks"), at.join("toy/masks")).unwrap();
    run("toy", "segment", &[]).expect_code(0);
}

#[test]
fn several_sets_share_one_taxonomy() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    blocks(&at.join("data/one"), 6);
    blocks(&at.join("data/two"), 6);
    // In the second set 1 is the ground.
    for i in 0..6 {
        let path = at.join(format!("data/two/masks/{i}.png"));
        let mut mask = image::open(&path).unwrap().into_luma8();
        mask.pixels_mut().for_each(|p| p.0[0] = 1 - p.0[0]);
        write_grey(&path, mask.dimensions(), PngPixels::Gray8(mask.as_raw()));
    }
    fs::write(
        at.join("sets.json"),
        r#"{"classes": ["block", "ground"], "sets": {
            "one": {"dataset": "one", "classes": {"0": "rest", "1": ["block"]}},
            "two": {"dataset": "two", "classes": {"1": ["ground"], "0": ["block"]}}}}"#,
    )
    .unwrap();
    let more = ["--epochs", "4", "--sets", "sets.json"];
    train(at, "segment", "data", "joint.safetensors", &more).expect_code(0);
    let head = ["--head", "joint.safetensors"];
    for set in ["one", "two"] {
        let data = format!("data/{set}");
        let json = figures(
            at,
            &[&["segment", &data, "--labels", set][..], &head].concat(),
        );
        assert!(json["miou"].as_f64().unwrap() > 0.85, "{set}: {json}");
        let background = json["per_class"][0]["name"].as_str().unwrap();
        assert_eq!(
            background,
            if set == "one" { "background" } else { "block" }
        );
    }
    let args = [
        "eval", "segment", "data/one", "--labels", "three", head[0], head[1],
    ];
    dino_with_model(at, &args)
        .expect_code(2)
        .expect_stderr("knows one, two");
}
