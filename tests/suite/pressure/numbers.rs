//! Heads and weights that give no finite numbers are refused by name; standard deviations are those of the calibration.

use std::fs;
use std::path::Path;

use dino::model::head::linear::Dense;
use dino::model::head::meta::HeadTask;
use dino::model::head::{Head, HeadNetwork};
use serde_json::Value;
use tempfile::tempdir;

use super::save;
use crate::depth::depth_head;
use crate::program::{command, dino_with_model, finish, sample, store_with_focus};
use crate::results::as_text;

/// A linear head whose weights are so large that its sums overflow.
fn far_too_large() -> Head {
    let mut head = depth_head(0.0);
    if let HeadNetwork::Linear(linear) = &mut head.network {
        linear.output.weight.fill(3e38);
    }
    head
}

#[test]
fn a_head_that_gives_no_numbers_is_named() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    save(&far_too_large(), &at.join("huge.safetensors"));
    let room = sample("room.jpg");
    let args = [
        "depth",
        as_text(&room),
        "--head",
        "huge.safetensors",
        "--size",
        "56",
        "--uncertainty",
    ];
    let run = dino_with_model(at, &args).expect_code(1);
    run.expect_stderr("the head made-up gave numbers that are not finite");
    assert!(!at.join("dino-out").exists());
    // Finite scores whose depths are not.
    let mut head = depth_head(0.0);
    if let (HeadNetwork::Linear(linear), HeadTask::Depth { .. }) =
        (&mut head.network, &head.meta.task)
    {
        linear.output.bias.fill(1e38);
    }
    save(&head, &at.join("far.safetensors"));
    let args = [
        "depth",
        as_text(&room),
        "--head",
        "far.safetensors",
        "--size",
        "56",
        "--uncertainty",
    ];
    dino_with_model(at, &args)
        .expect_code(1)
        .expect_stderr("the head made-up gave depths that are not finite");
    // A hidden layer whose overflow its ReLU would make a 0 of.
    let mut head = depth_head(0.0);
    if let HeadNetwork::Linear(linear) = &mut head.network {
        let (inputs, bins) = (linear.output.inputs, linear.output.bias.len());
        linear.hidden = Some(Dense {
            inputs,
            weight: vec![-3e38; 2 * inputs],
            bias: vec![0.0; 2],
        });
        linear.output.inputs = 2;
        linear.output.weight = vec![0.5; 2 * bins];
    }
    save(&head, &at.join("hidden.safetensors"));
    let args = [
        "depth",
        as_text(&room),
        "--head",
        "hidden.safetensors",
        "--size",
        "56",
    ];
    dino_with_model(at, &args)
        .expect_code(1)
        .expect_stderr("the head made-up gave numbers that are not finite");
}

#[test]
fn weights_that_are_no_numbers_are_refused_with_their_tensor() {
    // A store of its own, with one number of the real weights spoilt.
    let home = tempdir().unwrap();
    let models = home.path().join("models");
    fs::create_dir(&models).unwrap();
    let of = |folder: &Path, ending: &str| folder.join(format!("vits14-focus.{ending}"));
    let real = store_with_focus().join("models");
    fs::copy(of(&real, "json"), of(&models, "json")).unwrap();
    let mut bytes = fs::read(of(&real, "safetensors")).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(of(&models, "safetensors"), bytes).unwrap();
    let folder = tempdir().unwrap();
    for args in [
        &["pca", "room.jpg", "--size", "56"][..],
        &["depth", "room.jpg", "--size", "56"],
        &["segment", "room.jpg", "--size", "56"],
    ] {
        fs::copy(sample("room.jpg"), folder.path().join("room.jpg")).unwrap();
        let mut command = command(args);
        command
            .current_dir(folder.path())
            .env("DINO_HOME", home.path());
        let run = finish(&mut command, b"").expect_code(1);
        let run = run.expect_stderr("vits14-focus.safetensors: 1 of the ");
        run.expect_stderr("are not finite");
        assert!(!folder.path().join("dino-out").exists());
    }
}

#[test]
fn spreads_are_those_that_were_calibrated() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let room = sample("room.jpg");
    let args = [
        "depth",
        as_text(&room),
        "--json",
        "--save",
        "npy",
        "--uncertainty",
        "--at",
        "100,100",
    ];
    let run = dino_with_model(at, &args).expect_code(0);
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    let calibration = &report["std_calibration"];
    let share = calibration["coverage"].as_f64().unwrap();
    assert!((0.66..0.70).contains(&share), "{share}");
    assert!(calibration["uncalibrated"].as_f64().unwrap() > 0.95);
    let std = report["at"][0]["std"].as_f64().unwrap();
    assert!(std > 0.0 && std < 1.5, "{std}");
    // A head that nobody calibrated says so.
    save(&depth_head(0.0), &at.join("toy.safetensors"));
    let args = [
        "depth",
        as_text(&room),
        "--head",
        "toy.safetensors",
        "--uncertainty",
        "--force",
    ];
    dino_with_model(at, &args)
        .expect_code(0)
        .expect_stderr("was not calibrated");
}
