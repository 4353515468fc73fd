//! The heads that are built into the program, on real photos, and the `dino heads` command.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{Run, command, dino_with_model, finish, sample};

const SHIPPED: [&str; 5] = ["everyday", "indoor", "objects", "rooms", "street"];

/// Runs `dino heads` with the store `home`.
fn heads(home: &Path, args: &[&str]) -> Run {
    let args = [&["heads"], args].concat();
    finish(command(&args).env("DINO_HOME", home), b"")
}

fn classes(folder: &Path, args: &[&str]) -> Vec<(String, f64)> {
    let run = dino_with_model(folder, &[&["segment", "--json", "--force"], args].concat());
    let run = run.expect_code(0);
    let json: Value = serde_json::from_str(&run.lines()[0]).unwrap();
    let classes = json["classes"].as_array().unwrap().iter();
    classes
        .map(|class| {
            let name = class["name"].as_str().unwrap().to_owned();
            (name, class["percent"].as_f64().unwrap())
        })
        .collect()
}

fn share(classes: &[(String, f64)], name: &str) -> f64 {
    let found = classes.iter().find(|(other, _)| other == name);
    found.map_or(0.0, |(_, percent)| *percent)
}

#[test]
fn a_bare_command_finds_a_cat_and_the_room_in_metres() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let cat = sample("chelsea.png");
    let cat = cat.to_str().unwrap();
    let found = classes(at, &[cat, "--size", "280"]);
    assert!(share(&found, "cat") > 50.0, "{found:?}");
    // Another head, other words; and through windows it is still a cat.
    let found = classes(at, &[cat, "--head", "objects", "--size", "280"]);
    assert!(share(&found, "cat") > 50.0, "{found:?}");
    let found = classes(at, &[cat, "--head", "objects", "--slide", "--size", "560"]);
    assert!(share(&found, "cat") > 30.0, "{found:?}");
    let room = sample("room.jpg");
    let args = [
        "depth",
        room.to_str().unwrap(),
        "--at",
        "427,1100",
        "--at",
        "427,100",
    ];
    let run = dino_with_model(at, &args).expect_code(0);
    assert!(run.stderr.contains("head indoor"), "{}", run.stderr);
    let metres: Vec<f64> = run
        .lines()
        .iter()
        .filter(|line| line.ends_with(" m"))
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words[words.len() - 2].parse().unwrap()
        })
        .collect();
    // The bean bag in front, the wall behind.
    assert_eq!(metres.len(), 2, "{:?}", run.lines());
    assert!(
        metres[0] > 0.5 && metres[0] + 0.5 < metres[1] && metres[1] < 8.0,
        "{metres:?}"
    );
}

#[test]
fn shipped_heads_are_listed_shown_copied_and_chosen() {
    let folder = tempdir().unwrap();
    let home = folder.path();
    let list = heads(home, &["list"]).expect_code(0).lines().join("\n");
    for name in SHIPPED {
        assert!(list.contains(name), "{list}");
        let info = heads(home, &["info", name])
            .expect_code(0)
            .lines()
            .join("\n");
        for word in ["vits14-focus", "dino train", "kept out", "480"] {
            assert!(info.contains(word), "{name}: {word} is not in\n{info}");
        }
    }
    heads(home, &["rm", "indoor"])
        .expect_code(2)
        .expect_stderr("inside the program");
    let file = home.join("mine.safetensors");
    let file = file.to_str().unwrap();
    heads(home, &["export", "street", file]).expect_code(0);
    heads(home, &["export", "street", file])
        .expect_code(2)
        .expect_stderr("--force");
    heads(home, &["add", file, "--as", "mine"]).expect_code(0);
    heads(home, &["default", "segment", "mine"]).expect_code(0);
    let info = heads(home, &["info", "mine", "--json"]).expect_code(0);
    let info: Value = serde_json::from_str(&info.lines()[0]).unwrap();
    assert_eq!(info["meta"]["name"], "mine");
    heads(home, &["default", "depth", "mine"]).expect_code(2);
    heads(home, &["rm", "mine"]).expect_code(0);
    heads(home, &["info", "mine"])
        .expect_code(1)
        .expect_stderr("everyday, indoor");
}

#[test]
fn damaged_heads_are_errors() {
    let folder = tempdir().unwrap();
    let home = folder.path();
    let whole = home.join("whole.safetensors");
    heads(home, &["export", "street", whole.to_str().unwrap()]).expect_code(0);
    let bytes = fs::read(&whole).unwrap();
    let mut nan = bytes.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let mut long = bytes.clone();
    long[..8].copy_from_slice(&(1u64 << 30).to_le_bytes());
    for (name, damaged) in [
        ("cut", &bytes[..bytes.len() / 2]),
        ("tiny", &bytes[..6]),
        ("nan", &nan),
        ("long", &long),
        ("photo", &fs::read(sample("chelsea.png")).unwrap()),
    ] {
        let path = home.join(format!("{name}.safetensors"));
        fs::write(&path, damaged).unwrap();
        let run = heads(home, &["info", path.to_str().unwrap()]).expect_code(1);
        assert!(
            run.stderr.contains(name) && !run.stderr.contains("panicked"),
            "{}",
            run.stderr
        );
    }
}
