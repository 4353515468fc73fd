//! `dino calibrate`, and the commands that use its calibration, on real photos with the real backbone.

use std::path::Path;

use npyz::WriterBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::depth::{chunk, relative_head, save};
use crate::program::{Run, dino_with_model, sample};
use crate::results::read_npy;

const PHOTOS: [&str; 4] = ["chelsea.png", "rocket.jpg", "room.jpg", "dogs.jpg"];
const SIZE: [&str; 2] = ["--size", "112"];

/// A folder with the head `indoor` as a file, and a data set whose labels are its depths times `factor`, off by a few
/// percent that differ from photo to photo.
fn folder(factor: f32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| dino_with_model(folder.path(), args).expect_code(0);
    run(&["heads", "export", "indoor", "head.safetensors"]);
    label(folder.path(), &[], |photo, metres| {
        let wrong = [0.97, 1.02, 1.03, 0.98][photo];
        factor * wrong * metres
    });
    folder
}

/// Makes a data set of the photos, whose labels are the depths of `head.safetensors` changed by `of`.
fn label(folder: &Path, args: &[&str], of: impl Fn(usize, f32) -> f32) {
    let set = folder.join("set");
    for part in ["images", "depth"] {
        std::fs::create_dir_all(set.join(part)).unwrap();
    }
    for (number, name) in PHOTOS.iter().enumerate() {
        std::fs::copy(sample(name), set.join("images").join(name)).unwrap();
        let photo = format!("set/images/{name}");
        depth(folder, &photo, &[&["--save", "npy"], args].concat()).expect_code(0);
        let stem = name.split('.').next().unwrap();
        let (shape, values) = read_npy(folder.join(format!("dino-out/{stem}.depth.npy")));
        let values: Vec<f32> = values.into_iter().map(|value| of(number, value)).collect();
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(&shape);
        let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
        std::fs::write(set.join(format!("depth/{stem}.npy")), bytes).unwrap();
    }
}

fn depth(folder: &Path, photo: &str, args: &[&str]) -> Run {
    let own = ["depth", photo, "--head", "./head.safetensors", "--force"];
    dino_with_model(folder, &[&own, &SIZE[..], args].concat())
}

fn calibrate(folder: &Path, args: &[&str]) -> Run {
    let own = ["calibrate", "depth", "set", "--head", "./head.safetensors"];
    dino_with_model(folder, &[&own, &SIZE[..], args].concat())
}

fn figures(run: &Run) -> Value {
    serde_json::from_slice(&run.stdout).unwrap()
}

#[test]
fn a_factor_is_kept_beside_the_head_and_used_by_whatever_reads_depths() {
    let folder = folder(1.4);
    let at = folder.path();
    let file = at.join("head.calibration.json");
    let dry = calibrate(at, &["--dry-run", "--json", "-"]).expect_code(0);
    assert!(figures(&dry)["kept"].is_null() && !file.exists());
    let run = calibrate(at, &["--json", "-"]).expect_code(0);
    let found = figures(&run);
    let scale = found["calibration"]["scale"].as_f64().unwrap();
    assert!((scale - 1.4).abs() < 0.02, "{found}");
    assert_eq!(
        (
            found["helps"].clone(),
            found["calibration"]["folds"].clone()
        ),
        (json!(true), json!(4))
    );
    let log_rmse = |when: &str| found[when]["log_rmse"].as_f64().unwrap();
    assert!(
        (log_rmse("before") - 1.4f64.ln()).abs() < 0.05 && log_rmse("after") < 0.06,
        "{found}"
    );

    let args = [
        "--save",
        "npy",
        "--range",
        "head",
        "--uncertainty",
        "--json",
    ];
    let report = |run: &Run| -> Value { serde_json::from_str(&run.lines()[0]).unwrap() };
    let maps = |more: &[&str]| {
        let run = depth(at, "set/images/chelsea.png", &[&args, more].concat()).expect_code(0);
        let map = |end: &str| read_npy(at.join(format!("dino-out/chelsea.depth.{end}"))).1;
        (report(&run), map("npy"), map("std.npy"))
    };
    let (_, plain, plain_std) = maps(&["--no-calibration"]);
    let (told, fitted, fitted_std) = maps(&[]);
    let times = |value: &f32| (scale * f64::from(*value)) as f32;
    assert_eq!(fitted, plain.iter().map(times).collect::<Vec<_>>());
    assert_eq!(fitted_std, plain_std.iter().map(times).collect::<Vec<_>>());
    assert_eq!(told["conversion"]["scale"], json!(scale));
    assert_eq!(told["conversion"]["calibration"]["photos"], json!(4));
    let last = told["colors"]["max"].as_f64().unwrap();
    assert!((last - 10.0 * scale).abs() < 1e-3, "{told}");
    let picture = at.join("dino-out/chelsea.depth.png");
    assert!(chunk(&picture, "dino:conversion").starts_with(&format!("{scale} times")));
    let drawn = std::fs::read(picture).unwrap();

    // The same bytes from a run of several tasks and from another command line of the same meaning.
    let set = |setting: &'static str| ["--set", setting];
    let settings = [
        set("depth.size=112"),
        set("depth.range=head"),
        set("depth.save=npy"),
    ]
    .concat();
    let run = [
        "run",
        "set/images/chelsea.png",
        "--depth",
        "./head.safetensors",
        "-o",
        "run",
    ];
    dino_with_model(at, &[&run[..], &settings].concat()).expect_code(0);
    assert_eq!(
        std::fs::read(at.join("run/chelsea.depth.png")).unwrap(),
        drawn
    );
    let given = scale.to_string();
    let (told, by_hand, _) = maps(&["--scale", &given]);
    assert!(
        by_hand == fitted && told["conversion"]["calibration"].is_null(),
        "{told}"
    );

    // Judging says so, and comes out as the calibration did.
    let own = [
        "eval",
        "depth",
        "set",
        "--head",
        "./head.safetensors",
        "--json",
        "-",
    ];
    let judged = |more: &[&str]| {
        let run = dino_with_model(at, &[&own[..], &SIZE, more].concat()).expect_code(0);
        let figures = figures(&run);
        (
            figures["abs_rel"].as_f64().unwrap(),
            figures["calibration"].clone(),
        )
    };
    let (with, without) = (judged(&[]), judged(&["--no-calibration"]));
    assert!(with.0 < 0.06 && without.0 > 0.25, "{with:?} {without:?}");
    assert!(with.1["scale"] == json!(scale) && without.1.is_null());

    // Another size is another matter.
    let other = [
        "depth",
        "set/images/chelsea.png",
        "--head",
        "./head.safetensors",
        "--size",
        "140",
        "--force",
    ];
    dino_with_model(at, &other)
        .expect_code(0)
        .expect_stderr("was fitted with size 112, and this run has size 140");
    dino_with_model(at, &["heads", "info", "./head.safetensors"])
        .expect_code(0)
        .lines()
        .iter()
        .find(|line| line.starts_with("fitted") && line.contains(&given))
        .unwrap();
    // Where it does harm, that is said.
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replace(&format!("\"scale\": {scale}"), "\"scale\": 2.5"),
    )
    .unwrap();
    label(at, &["--no-calibration"], |_, metres| metres);
    calibrate(at, &[])
        .expect_code(0)
        .expect_stderr("is worse here than none")
        .expect_stderr("calibrate remove ./head.safetensors");
    let wrong = ["calibrate", "remove", "./head.safetensors", "nonsuch"];
    dino_with_model(at, &wrong).expect_code(2);
    assert!(file.exists());
    dino_with_model(at, &["calibrate", "remove", "./head.safetensors"]).expect_code(0);
    assert!(!file.exists());
    dino_with_model(at, &["calibrate", "remove", "./head.safetensors"])
        .expect_code(2)
        .expect_stderr("has no calibration");
}

#[test]
fn what_does_not_help_is_not_kept() {
    let folder = folder(1.0);
    let at = folder.path();
    let run = calibrate(at, &[])
        .expect_code(0)
        .expect_stderr("does not help");
    assert!(
        run.lines()[0].contains("times what the head says"),
        "{:?}",
        run.lines()
    );
    assert!(!at.join("head.calibration.json").exists());
    for name in &PHOTOS[1..] {
        std::fs::remove_file(at.join("set/images").join(name)).unwrap();
    }
    calibrate(at, &[])
        .expect_code(1)
        .expect_stderr("has 1 photo that can be used");
}

#[test]
fn a_calibration_of_another_head_is_left_out_and_a_damaged_one_is_named() {
    let folder = folder(1.4);
    let at = folder.path();
    calibrate(at, &[]).expect_code(0).expect_stderr("kept in");
    let file = at.join("head.calibration.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let plain = |run: Run| assert!(!run.stderr.contains("metres are"));
    dino_with_model(at, &["heads", "export", "indoor", "other.safetensors"]).expect_code(0);
    std::fs::copy(&file, at.join("other.calibration.json")).unwrap();
    let other = [
        "depth",
        "set/images/chelsea.png",
        "--head",
        "./other.safetensors",
        "--size",
        "112",
        "-o",
        "other",
    ];
    dino_with_model(at, &other)
        .expect_code(0)
        .expect_stderr("metres are");
    let mut read: Value = serde_json::from_str(&text).unwrap();
    read["digest"] = json!("0".repeat(64));
    std::fs::write(&file, read.to_string()).unwrap();
    plain(
        depth(at, "set/images/chelsea.png", &[])
            .expect_code(0)
            .expect_stderr("fitted to another head"),
    );
    for wrong in [
        "",
        "{}",
        &text.replace("\"scale\": ", "\"scale\": -"),
        &text.replace("\"scale\"", "\"scales\""),
    ] {
        std::fs::write(&file, wrong).unwrap();
        depth(at, "set/images/chelsea.png", &[])
            .expect_code(1)
            .expect_stderr("head.calibration.json")
            .expect_stderr("calibrate remove");
        plain(depth(at, "set/images/chelsea.png", &["--no-calibration"]).expect_code(0));
    }
}

#[test]
fn relative_depth_becomes_metres_by_two_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    save(&relative_head(), &at.join("head.safetensors"));
    label(at, &["--scale", "0.2", "--shift", "0.1"], |_, metres| {
        metres
    });
    let png = ["--save", "png16"];
    depth(at, "set/images/chelsea.png", &png)
        .expect_code(2)
        .expect_stderr("dino calibrate depth");
    let run = calibrate(at, &["--json", "-"]).expect_code(0);
    let found = figures(&run);
    let number = |name: &str| found["calibration"][name].as_f64().unwrap();
    assert!(
        (number("scale") - 0.2).abs() < 1e-3 && (number("shift") - 0.1).abs() < 1e-3,
        "{found}"
    );
    depth(at, "set/images/chelsea.png", &png).expect_code(0);
    assert_eq!(
        chunk(at.join("dino-out/chelsea.depth.png"), "dino:unit"),
        "m"
    );
    let judged = [
        "eval",
        "depth",
        "set",
        "--head",
        "./head.safetensors",
        "--json",
        "-",
    ];
    let run = dino_with_model(at, &[&judged[..], &SIZE].concat()).expect_code(0);
    assert!(figures(&run)["abs_rel"].as_f64().unwrap() < 0.01);
    // Where everything is as far, no head is better than a word.
    label(at, &["--scale", "0.2", "--shift", "0.1"], |_, _| 3.0);
    calibrate(at, &[])
        .expect_code(0)
        .expect_stderr("does not help")
        .expect_stderr("stays");
}
