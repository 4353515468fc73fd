//! Temporary files of killed runs are removed, files that options name are replaced only with `--force`, and all
//! written files are printed.

use std::fs;

use tempfile::tempdir;

use super::{photo, save};
use crate::depth::depth_head;
use crate::program::dino_with_model;
#[cfg(unix)]
use crate::program::files_below;

#[cfg(unix)]
#[test]
fn what_a_killed_run_left_is_swept_by_the_next() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let small = photo(at, "a.png", (90, 60));
    let out = at.join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join(".dino-a1B2c3.part"), "half a picture").unwrap();
    fs::create_dir(out.join(".dino-d4E5f6.part")).unwrap();
    fs::write(out.join(".dino-d4E5f6.part/mask.png"), "half a mask").unwrap();
    // That of a program that lives.
    let held = fs::File::create(out.join(".dino-g7H8i9.part")).unwrap();
    held.lock().unwrap();
    fs::write(out.join("notes.part"), "somebody's").unwrap();
    dino_with_model(at, &["pca", &small, "--size", "56", "-o", "out"]).expect_code(0);
    assert_eq!(
        files_below(&out),
        [".dino-g7H8i9.part", "a.pca.png", "notes.part"]
    );
    drop(held);
    // Where all is there, too.
    dino_with_model(at, &["pca", &small, "--size", "56", "-o", "out"]).expect_code(0);
    assert_eq!(files_below(&out), ["a.pca.png", "notes.part"]);
}

#[test]
fn files_that_options_name_are_replaced_by_force_alone() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let small = photo(at, "a.png", (90, 60));
    let other = photo(at, "b.png", (60, 90));
    fs::write(at.join("mine"), "precious").unwrap();
    let size = ["--size", "56"];
    let runs: [&[&str]; 3] = [
        &["pca", &small, "--save-basis", "mine"],
        &[
            "segment",
            &small,
            "--clusters",
            "2",
            "--save-codebook",
            "mine",
        ],
        &["bench", "--runs", "1", "--json", "mine"],
    ];
    for args in runs {
        let refused = dino_with_model(at, &[args, &size[..]].concat()).expect_code(2);
        refused.expect_stderr("mine is there already; --force replaces it");
        assert_eq!(fs::read(at.join("mine")).unwrap(), b"precious", "{args:?}");
    }
    for args in runs {
        let run = dino_with_model(at, &[args, &size[..], &["--force"]].concat()).expect_code(0);
        assert!(
            run.lines().contains(&"mine".to_owned()),
            "{:?}",
            run.lines()
        );
        assert_ne!(fs::read(at.join("mine")).unwrap(), b"precious", "{args:?}");
        fs::write(at.join("mine"), "precious").unwrap();
    }
    // What is read is not replaced by any force.
    let before = fs::read(at.join("b.png")).unwrap();
    let args = [
        "pca",
        &small,
        &other,
        "--save-basis",
        &other,
        "--force",
        "--size",
        "56",
    ];
    dino_with_model(at, &args)
        .expect_code(2)
        .expect_stderr("is an input");
    assert_eq!(fs::read(at.join("b.png")).unwrap(), before);
    // A head is an input too.
    save(&depth_head(0.0), &at.join("toy.safetensors"));
    let before = fs::read(at.join("toy.safetensors")).unwrap();
    for args in [
        &[
            "depth",
            "--head",
            "toy.safetensors",
            "-o",
            "toy.safetensors",
        ][..],
        &[
            "segment",
            "--head",
            "toy.safetensors",
            "--coco",
            "toy.safetensors",
        ],
        &["pca", "--basis", "mine", "--save-basis", "mine"],
    ] {
        let args = [args, &[&*small, "--force", "--size", "56"]].concat();
        let run = dino_with_model(at, &args);
        assert_ne!(run.status.code(), Some(0), "{args:?}: {}", run.stderr);
        assert_eq!(fs::read(at.join("toy.safetensors")).unwrap(), before);
        assert_eq!(fs::read(at.join("mine")).unwrap(), b"precious");
    }
}

#[test]
fn written_files_are_all_named() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    crate::train::ramps(&at.join("toy"), 8);
    let args = [
        "train",
        "depth",
        "toy",
        "-o",
        "x.safetensors",
        "--size",
        "56",
        "--cache",
        "cache",
        "--epochs",
        "2",
        "--blocks",
        "11",
        "--range",
        "0.5,5",
        "--bins",
        "8",
    ];
    let run = dino_with_model(at, &args).expect_code(0);
    assert_eq!(run.lines(), ["x.safetensors", "x.log.json", "x.curve.png"]);
    let args = [
        "eval",
        "depth",
        "toy",
        "--head",
        "x.safetensors",
        "--json",
        "f.json",
        "-o",
        "report",
    ];
    let run = dino_with_model(at, &args).expect_code(0);
    for name in ["f.json", "report/files.csv"] {
        assert!(run.lines().contains(&name.to_owned()), "{:?}", run.lines());
    }
    dino_with_model(at, &args)
        .expect_code(2)
        .expect_stderr("--force replaces it");
    dino_with_model(at, &[&args[..], &["--force"]].concat()).expect_code(0);
}
