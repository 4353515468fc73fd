//! Heads learn classes and depths, on made-up data sets and on real frames, and their metadata says how they were
//! trained.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::tempdir;

use super::{figures, ramps, toy, train};
use crate::program::{dino_with_model, files_below};
use crate::results::as_text;

#[test]
fn a_head_learns_what_can_be_told_apart_and_says_how_it_was_made() {
    let folder = toy();
    let at = folder.path();
    let run = train(
        at,
        "segment",
        "toy",
        "block.safetensors",
        &["--epochs", "4"],
    )
    .expect_code(0);
    let written = ["block.safetensors", "block.log.json", "block.curve.png"];
    assert_eq!(run.lines(), written);
    assert!(run.stderr.contains("epoch  4/4"), "{}", run.stderr);
    // From another process, by the head alone.
    let args = [
        "segment",
        "toy",
        "--head",
        "block.safetensors",
        "-o",
        "report",
        "--part",
        "all",
    ];
    let run = dino_with_model(at, &[&["eval"][..], &args].concat()).expect_code(0);
    assert!(run.lines()[0].starts_with("miou"), "{:?}", run.lines());
    let files = files_below(&at.join("report"));
    for name in ["confusion.csv", "confusion.png", "files.csv"] {
        assert!(files.contains(&name.to_owned()), "{files:?}");
    }
    assert_eq!(files.iter().filter(|f| f.starts_with("worst-")).count(), 5);
    let rows = fs::read_to_string(at.join("report/files.csv")).unwrap();
    assert_eq!(rows.lines().count(), 9);
    let header = rows.lines().next().unwrap();
    assert!(
        header.ends_with("changes_predicted,changes_labelled,label_changes"),
        "{header}"
    );
    let json = figures(at, &["segment", "toy", "--head", "block.safetensors"]);
    let ratio = json["label_changes"].as_f64().unwrap();
    assert!(
        (0.5..1.5).contains(&ratio),
        "blocks are found as they are: {ratio}"
    );
    let told = format!("label_changes    {ratio:.2} ");
    let lines = run.lines();
    assert!(
        lines.iter().any(|line| line.starts_with(&told)),
        "{lines:?}"
    );
    assert!(json["miou"].as_f64().unwrap() > 0.9, "{json}");
    assert_eq!(json["images"], 8);
    let second = &json["per_class"][1];
    assert_eq!(
        (&second["id"], &second["name"], &second["images"]),
        (&1.into(), &"block".into(), &8.into())
    );
    let info = dino_with_model(at, &["heads", "info", "./block.safetensors", "--json"]);
    let meta: Value = serde_json::from_str(&info.expect_code(0).lines()[0]).unwrap();
    let meta = &meta["meta"];
    assert_eq!(meta["backbone"], "vits14-focus");
    assert_eq!(meta["blocks"], serde_json::json!([2, 11]));
    let command = meta["training"]["command"].as_str().unwrap();
    assert!(
        command.starts_with("dino train segment toy --size 112"),
        "{command}"
    );
    assert!(!meta["metrics"].as_array().unwrap().is_empty());
    for beside in ["block.log.json", "block.curve.png"] {
        assert!(at.join(beside).is_file(), "{beside}");
    }
    assert!(!at.join("block.checkpoint").exists());
}

#[test]
fn depth_learns_a_ramp() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ramps(&at.join("ramp"), 8);
    let more = ["--epochs", "12", "--bins", "32", "--globals", "none"];
    train(at, "depth", "ramp", "ramp.safetensors", &more).expect_code(0);
    let json = figures(at, &["depth", "ramp", "--head", "ramp.safetensors"]);
    let rmse = json["rmse"].as_f64().unwrap();
    assert!(rmse < 0.25, "{json}");
    assert!(json["abs_rel_aligned"].as_f64().unwrap() < 0.1, "{json}");
    let photo = at.join("ramp/images/3.png");
    let args = [
        "depth",
        as_text(&photo),
        "--head",
        "ramp.safetensors",
        "--save",
        "npy",
        "-o",
        "out",
    ];
    dino_with_model(at, &args).expect_code(0);
    let file = fs::File::open(at.join("out/3.depth.npy")).unwrap();
    let metres: Vec<f32> = npyz::NpyFile::new(file).unwrap().into_vec().unwrap();
    let line = &metres[56 * 112..57 * 112];
    assert!(line[8] < 1.8 && line[103] > 3.2, "{line:?}");
}

/// The folder of real frames beside the project, if it exists.
fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
    }
    folder.is_dir().then_some(folder)
}

#[test]
fn twelve_real_frames_teach_depth_and_classes() {
    let Some(data) = shared() else { return };
    let folder = tempdir().unwrap();
    let at = folder.path();
    let mut frames: Vec<String> = fs::read_dir(data.join("nyu/images"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    frames.sort();
    let list = |labels: &str| {
        let lines = frames
            .iter()
            .step_by(frames.len() / 12)
            .take(12)
            .map(|stem| {
                let file = |part: &str, end: &str| data.join(format!("nyu/{part}/{stem}.{end}"));
                format!(
                    "{},{}\n",
                    file("images", "jpg").display(),
                    file(labels, "png").display()
                )
            });
        lines.collect::<String>()
    };
    fs::write(at.join("depth.csv"), list("depth")).unwrap();
    fs::write(at.join("masks.csv"), list("masks40")).unwrap();
    // Judged on what was learnt: this is about learning, not about quality.
    let more = ["--epochs", "10", "--val-split", "none", "--rate", "0.005"];
    train(at, "depth", "depth.csv", "d.safetensors", &more).expect_code(0);
    let json = figures(
        at,
        &[
            "depth",
            "depth.csv",
            "--head",
            "d.safetensors",
            "--crop",
            "eigen",
        ],
    );
    assert!(json["abs_rel_aligned"].as_f64().unwrap() < 0.2, "{json}");
    let classes = data.join("nyu/classes40.json");
    let more = [&more[..], &["--classes", as_text(&classes)]].concat();
    train(at, "segment", "masks.csv", "s.safetensors", &more).expect_code(0);
    let json = figures(at, &["segment", "masks.csv", "--head", "s.safetensors"]);
    assert!(json["pixel_accuracy"].as_f64().unwrap() > 0.6, "{json}");
}
