//! Where a training starts: from another head, from the checkpoint of a killed run, or on another backbone; the same
//! seed gives the same bytes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use half::bf16;

use super::{figures, tensors, toy, train};
use crate::program::{command, dino_with_model, finish, store_with_focus};
use crate::results::as_text;

#[test]
fn a_training_starts_from_a_head_and_takes_part_of_the_photos() {
    let folder = toy();
    let at = folder.path();
    let quick = ["--epochs", "4", "--photos", "6"];
    let first = train(at, "segment", "toy", "first.safetensors", &quick).expect_code(0);
    assert!(
        first.stderr.contains("5 photos to train on, 1 for"),
        "{}",
        first.stderr
    );
    // A step so small leaves the head what it is; from nothing it knows nothing.
    let figure = |name: &str, more: &[&str]| {
        let step = [
            "train",
            "segment",
            "toy",
            "-o",
            name,
            "--size",
            "112",
            "--cache",
            "cache",
            "--blocks",
            "2,11",
            "--epochs",
            "1",
            "--patches",
            "64",
            "--rate",
            "1e-9",
        ];
        dino_with_model(at, &[&step[..], more].concat()).expect_code(0);
        let json = figures(at, &["segment", "toy", "--part", "all", "--head", name]);
        json["miou"].as_f64().unwrap()
    };
    assert!(figure("nothing.safetensors", &[]) < 0.6);
    assert!(figure("again.safetensors", &["--from", "./first.safetensors"]) > 0.9);
    let refused = |more: &[&str], why: &str| {
        train(at, "segment", "toy", "x.safetensors", more)
            .expect_code(2)
            .expect_stderr(why);
    };
    refused(
        &["--from", "./first.safetensors", "--context", "3"],
        "--context []",
    );
    refused(&["--from", "street"], "--blocks");
    refused(&["--photos", "rooms=3"], "no such set");
    refused(&["--photos", "none"], "--photos none");
}

#[test]
fn one_seed_gives_the_same_bytes_and_a_stopped_training_goes_on() {
    let folder = toy();
    let at = folder.path();
    let more = ["--epochs", "30", "--patches", "4000", "--seed", "7"];
    train(at, "segment", "toy", "whole.safetensors", &more).expect_code(0);
    train(
        at,
        "segment",
        "toy",
        "again.safetensors",
        &[&more[..], &["--threads", "1", "--name", "whole"]].concat(),
    )
    .expect_code(0);
    let bytes = |name: &str| fs::read(at.join(name)).unwrap();
    let whole = bytes("whole.safetensors");
    // The name that was given is part of the command that is kept.
    assert_eq!(tensors(&whole), tensors(&bytes("again.safetensors")));
    // Killed without warning after some epochs, then the same command again.
    fs::create_dir(at.join("other")).unwrap();
    let args = |head: &str| {
        let mut args: Vec<String> = [
            "train", "segment", "toy", "-o", head, "--size", "112", "--cache", "cache", "--blocks",
            "2,11", "--batch", "128", "--rate", "0.01",
        ]
        .map(str::to_owned)
        .into();
        args.extend(more.map(str::to_owned));
        args
    };
    let head = "other/whole.safetensors";
    let mut child = command(&args(head))
        .current_dir(at)
        .env("DINO_HOME", store_with_focus())
        .spawn()
        .unwrap();
    let checkpoint = at.join("other/whole.checkpoint");
    let start = Instant::now();
    while !checkpoint.exists() && start.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(checkpoint.exists() && !at.join(head).exists());
    let run = dino_with_model(at, &args(head)).expect_code(0);
    run.expect_stderr("going on after epoch");
    assert_eq!(bytes(head), whole);
    // A second time it is there.
    dino_with_model(at, &args(head))
        .expect_code(2)
        .expect_stderr("--force");
}

/// A model in the shape of DINO's ViT-S/16 with seeded weights, imported into the store at `home`.
fn seeded_model(home: &Path) {
    let config = dino::model::backbone::variants::find("dino-vits16")
        .unwrap()
        .config;
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let tensors: Vec<(String, Tensor)> = config
        .tensor_shapes()
        .into_iter()
        .map(|(name, shape)| {
            let is_norm = name.contains("norm") && name.ends_with("weight");
            let values: Vec<bf16> = (0..shape.iter().product())
                .map(|_| bf16::from_f32(f32::from(u8::from(is_norm)) + 0.1 * next()))
                .collect();
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            (name, tensor)
        })
        .collect();
    fs::create_dir_all(home).unwrap();
    let file = home.join("seeded.safetensors");
    let bytes = safetensors::serialize(tensors.iter().map(|(n, t)| (n.as_str(), t)), None);
    fs::write(&file, bytes.unwrap()).unwrap();
    let import = ["models", "import", as_text(&file)];
    finish(command(&import).env("DINO_HOME", home), b"").expect_code(0);
}

#[test]
fn a_head_can_be_trained_for_any_backbone() {
    let folder = toy();
    let at = folder.path();
    let home = at.join("home");
    seeded_model(&home);
    let run = |args: &[&str]| finish(command(args).current_dir(at).env("DINO_HOME", &home), b"");
    let args = [
        "train",
        "segment",
        "toy",
        "--model",
        "dino-vits16",
        "-o",
        "b.safetensors",
        "--size",
        "64",
        "--cache",
        "cache",
        "--epochs",
        "1",
        "--patches",
        "256",
        "--batch",
        "64",
    ];
    run(&args).expect_code(0);
    let json = run(&[
        "eval",
        "segment",
        "toy",
        "--head",
        "b.safetensors",
        "--json",
        "-",
    ]);
    json.expect_code(0).expect_stderr("dino-vits16 on");
    // Another backbone is refused, with the way to the right one.
    let args = [
        "eval",
        "segment",
        "toy",
        "--head",
        "b.safetensors",
        "--model",
        "vits14-focus",
    ];
    dino_with_model(at, &args)
        .expect_code(1)
        .expect_stderr("dino models pull dino-vits16");
}
