//! The figures that training measures are those of `dino eval`, and cross-validation evaluates each photo with a head
//! that was not trained on it.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use super::{figures, ramps, train};
use crate::program::dino_with_model;

#[test]
fn what_training_measures_is_what_its_head_does() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ramps(&at.join("ramp/train"), 6);
    ramps(&at.join("ramp/val"), 2);
    let more = [
        "--epochs",
        "3",
        "--context",
        "5,3",
        "--coarse",
        "60",
        "--globals",
        "cls,mean",
    ];
    train(at, "depth", "ramp", "ramp.safetensors", &more).expect_code(0);
    let info = dino_with_model(at, &["heads", "info", "./ramp.safetensors", "--json"]);
    let meta: Value = serde_json::from_str(&info.expect_code(0).lines()[0]).unwrap();
    let meta = &meta["meta"];
    assert_eq!(meta["context"], serde_json::json!([3, 5]));
    assert_eq!(meta["input"]["coarse"], 60);
    let judged = [
        "depth",
        "ramp",
        "--head",
        "ramp.safetensors",
        "--part",
        "val",
        "--no-refine",
    ];
    let json = figures(at, &judged);
    for figure in ["rmse", "abs_rel"] {
        let (own, _) = own_figure(at, "./ramp.safetensors", figure);
        let value = json[figure].as_f64().unwrap();
        // Training reads features in half precision.
        assert!(
            (own - value).abs() < 2e-3 * value,
            "{figure}: {own} in training, {value} after it"
        );
    }
    dino_with_model(
        at,
        &[
            "train",
            "depth",
            "ramp",
            "-o",
            "other.safetensors",
            "--context",
            "4",
        ],
    )
    .expect_code(2)
    .expect_stderr("odd");
}

/// The value of a metric in the metadata of a head, and the data that it was computed on.
fn own_figure(folder: &Path, head: &str, figure: &str) -> (f64, String) {
    let info = dino_with_model(folder, &["heads", "info", head, "--json"]).expect_code(0);
    let json: Value = serde_json::from_str(&info.lines()[0]).unwrap();
    let metrics = json["meta"]["metrics"].as_array().unwrap();
    let found = metrics.iter().find(|metric| metric["name"] == figure);
    let found = found.unwrap();
    (
        found["value"].as_f64().unwrap(),
        found["data"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn folds_judge_every_photo_by_a_head_that_never_saw_it() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ramps(&at.join("ramp"), 8);
    let more = ["--epochs", "3", "--bins", "32"];
    let folds = [&more[..], &["--folds", "3"]].concat();
    let run = train(at, "depth", "ramp", "folded.safetensors", &folds).expect_code(0);
    run.expect_stderr("fold 3 of 3").expect_stderr("once more");
    let (pooled, data) = own_figure(at, "./folded.safetensors", "rmse");
    assert!(
        data.starts_with("8 photos, each kept out of one of 3 trainings"),
        "{data}"
    );
    // The same by hand: three data sets that keep the runs 0-1, 2-4 and 5-7 out.
    let mut sum = 0.0;
    for (number, kept_out) in [0..2, 2..5, 5..8].into_iter().enumerate() {
        let name = format!("by-hand-{number}");
        for i in 0..8 {
            let part = match kept_out.contains(&i) {
                true => "val",
                false => "train",
            };
            for kind in ["images", "depth"] {
                let to = at.join(&name).join(part).join(kind);
                fs::create_dir_all(&to).unwrap();
                let file = format!("{i}.png");
                fs::copy(at.join("ramp").join(kind).join(&file), to.join(&file)).unwrap();
            }
        }
        let head = format!("{name}.safetensors");
        // With --refit it is the last round that is judged, as with folds.
        let refit = [&more[..], &["--refit"]].concat();
        train(at, "depth", &name, &head, &refit).expect_code(0);
        sum += own_figure(at, &format!("./{head}"), "rmse").0 * kept_out.len() as f64;
    }
    assert!(
        (pooled - sum / 8.0).abs() < 1e-6,
        "{pooled}, by hand {}",
        sum / 8.0
    );
    let log: Value =
        serde_json::from_slice(&fs::read(at.join("folded.log.json")).unwrap()).unwrap();
    assert_eq!(log["folds"].as_array().unwrap().len(), 3);
    assert!(!at.join("folded.fold-1.checkpoint").exists());
    let none = [&folds[..], &["--val-split", "none"]].concat();
    train(at, "depth", "ramp", "none.safetensors", &none)
        .expect_code(2)
        .expect_stderr("--folds");
}
