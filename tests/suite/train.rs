//! `dino train` and `dino eval` as a user runs them: toys whose answers are known, real frames where they are at hand,
//! repeats, interruptions and bad data, with the real backbone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use dino::io::output::{PngPixels, write_png};
use half::bf16;
use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::program::{Run, command, dino_with_model, files_below, finish, store_with_focus};
use crate::results::as_text;

pub const SIDE: u32 = 112;

pub fn write_grey(path: &Path, size: (u32, u32), pixels: PngPixels<'_>) {
    let mut bytes = Vec::new();
    write_png(&mut bytes, size, pixels, &[]).unwrap();
    fs::write(path, bytes).unwrap();
}

/// `count` pictures of a red block on blue, with masks at half their size: 1 is red.
pub fn blocks(folder: &Path, count: u32) {
    for part in ["images", "masks"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    for i in 0..count {
        let (left, top) = (14 * (i % 3), 14 * (i * 5 % 4));
        let inside =
            |x: u32, y: u32| (left..left + 56).contains(&x) && (top..top + 56).contains(&y);
        let photo = RgbImage::from_fn(SIDE, SIDE, |x, y| match inside(x, y) {
            true => Rgb([200, 40, 30]),
            false => Rgb([30, 60, 180]),
        });
        photo.save(folder.join(format!("images/{i}.png"))).unwrap();
        let half = SIDE / 2;
        let ids: Vec<u8> = (0..half * half)
            .map(|at| u8::from(inside(at % half * 2, at / half * 2)))
            .collect();
        let mask = folder.join(format!("masks/{i}.png"));
        write_grey(&mask, (half, half), PngPixels::Gray8(&ids));
    }
    fs::write(folder.join("classes.json"), r#"["ground", "block"]"#).unwrap();
}

/// Pictures that get brighter to the right, where depth rises from 1 m to 4 m.
pub fn ramps(folder: &Path, count: u32) {
    for part in ["images", "depth"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    for i in 0..count {
        let photo = RgbImage::from_fn(SIDE, SIDE, |x, _| Rgb([(x * 2) as u8, 10 * i as u8, 90]));
        photo.save(folder.join(format!("images/{i}.png"))).unwrap();
        let depth: Vec<u16> = (0..SIDE * SIDE)
            .map(|at| (1000 + 3000 * (at % SIDE) / SIDE) as u16)
            .collect();
        let path = folder.join(format!("depth/{i}.png"));
        write_grey(&path, (SIDE, SIDE), PngPixels::Gray16(&depth));
    }
}

/// Trains with few, fast steps; features go to a folder of the test's own.
pub fn train(folder: &Path, task: &str, data: &str, head: &str, more: &[&str]) -> Run {
    let mut args = vec![
        "train", task, data, "-o", head, "--size", "112", "--cache", "cache", "--blocks", "2,11",
        "--batch", "128", "--rate", "0.01",
    ];
    args.extend(more);
    dino_with_model(folder, &args)
}

pub fn figures(folder: &Path, args: &[&str]) -> Value {
    let mut all = vec!["eval"];
    all.extend(args);
    all.extend(["--json", "-"]);
    let run = dino_with_model(folder, &all).expect_code(0);
    serde_json::from_slice(&run.stdout).unwrap()
}

fn toy() -> TempDir {
    let folder = tempdir().unwrap();
    blocks(&folder.path().join("toy"), 8);
    folder
}

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

/// The figure of a head's own validation, and what it was judged on.
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

/// The numbers of a head's file, after its header.
pub fn tensors(bytes: &[u8]) -> &[u8] {
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    &bytes[8 + header..]
}

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

/// The real frames beside the project, if they are there.
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
