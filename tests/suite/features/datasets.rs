//! Data sets of features: every format holds the same rows, later runs and shards add to them, and rows that would
//! differ are not skipped.

use std::fs;
use std::path::Path;

use dino::io::features::FeatureRow;
use serde_json::Value;

use super::{rows, run};
use crate::program::{files_below, folder_of, sample};

/// The file endings of all formats.
const ENDINGS: [&str; 5] = ["parquet", "arrow", "safetensors", "npy", "tar"];

#[test]
fn each_format_holds_the_same_and_a_second_run_adds() {
    let folder = folder_of(&[("in/a.jpg", "room.jpg"), ("in/b/c.x.jpg", "flower.jpg")]);
    let usual = ["features", "in", "-r", "--size", "56", "--blocks", "5,-1"];
    let mut all: Vec<Vec<FeatureRow>> = Vec::new();
    for ending in ENDINGS {
        let name = format!("f.{ending}");
        let args = [&usual[..], &["-o", &name]].concat();
        let said = run(&folder, &args).expect_code(0);
        let [part] = &said.lines()[..] else {
            panic!("{:?}", said.lines());
        };
        assert!(folder.path().join(part).is_file(), "{part}");
        let rows = rows(&folder, &name);
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(keys, ["a", "b/c.x"], "{ending}");
        assert_eq!(rows[0].cls.len(), 2 * 384);
        assert_eq!(rows[0].patches.len(), 2 * rows[0].grid.len() * 384);
        all.push(rows);
        let before = files_below(&folder.path().join(&name));
        run(&folder, &args)
            .expect_code(0)
            .expect_stderr("2 already there");
        assert_eq!(files_below(&folder.path().join(&name)), before);
    }
    assert!(all.windows(2).all(|two| two[0] == two[1]));
    // One more photo, and one that was changed; what is there is not computed again, and the dataset is that of one
    // run.
    fs::copy(sample("rocket.jpg"), folder.path().join("in/new.jpg")).unwrap();
    fs::copy(sample("dogs.jpg"), folder.path().join("in/a.jpg")).unwrap();
    for ending in ENDINGS {
        let name = format!("f.{ending}");
        let said = run(&folder, &[&usual[..], &["-o", &name]].concat()).expect_code(0);
        assert!(said.stderr.contains("1 already there"), "{}", said.stderr);
        let rows = rows(&folder, &name);
        assert_eq!(rows.len(), 3, "{ending}");
        assert_ne!(rows[0], all[0][0]);
        assert_eq!(rows[1], all[0][1]);
        let fresh = format!("fresh.{ending}");
        run(&folder, &[&usual[..], &["-o", &fresh]].concat()).expect_code(0);
        assert_eq!(self::rows(&folder, &fresh), rows, "{ending}");
    }
    // Made in another way, it is refused.
    let other = [
        "features",
        "in",
        "-r",
        "--size",
        "70",
        "--blocks",
        "5,-1",
        "-o",
        "f.parquet",
    ];
    run(&folder, &other).expect_code(1).expect_stderr("`size`");
    run(&folder, &[&other[..], &["--force"]].concat()).expect_code(0);
    assert_eq!(rows(&folder, "f.parquet").len(), 3);
}

#[test]
fn shards_fill_one_dataset_and_runs_of_tasks_do_too() {
    let names = ["a", "b", "c", "d", "e", "f"].map(|name| format!("in/{name}.jpg"));
    let of: Vec<(&str, &str)> = names
        .iter()
        .map(|name| (name.as_str(), "room.jpg"))
        .collect();
    let folder = folder_of(&of);
    let usual = ["features", "in", "--size", "28", "--what", "cls", "-o"];
    run(&folder, &[&usual[..], &["one.parquet"]].concat()).expect_code(0);
    for shard in ["1/3", "2/3", "3/3"] {
        run(
            &folder,
            &[&usual[..], &["many.parquet", "--shard", shard]].concat(),
        )
        .expect_code(0);
    }
    assert_eq!(rows(&folder, "many.parquet"), rows(&folder, "one.parquet"));
    let all = run(&folder, &[&usual[..], &["many.parquet"]].concat()).expect_code(0);
    assert!(all.stderr.contains("6 already there"), "{}", all.stderr);
    let together = [
        "run",
        "in/a.jpg",
        "--pca",
        "--set",
        "pca.size=28",
        "--save-features",
        "run.parquet",
        "--set",
        "features.size=28",
        "--set",
        "features.what=cls",
        "--json",
    ];
    let said = run(&folder, &together).expect_code(0);
    let tasks: Vec<Value> = said
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let done = |task: &str| {
        tasks
            .iter()
            .filter(|line| line["task"] == task && line["status"] == "done")
            .count()
    };
    assert_eq!((done("pca"), done("features")), (1, 1), "{tasks:?}");
    let line = tasks
        .iter()
        .find(|line| line["task"] == "features")
        .unwrap();
    assert!(folder.path().join(line["part"].as_str().unwrap()).is_file());
    assert_eq!(
        rows(&folder, "run.parquet")[0],
        rows(&folder, "one.parquet")[0]
    );
    assert!(Path::new(&rows(&folder, "run.parquet")[0].name.path).is_absolute());
}

#[test]
fn what_would_give_other_rows_is_not_skipped() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("b.jpg", "dogs.jpg")]);
    let usual = ["features", "a.jpg", "-o", "f.arrow", "--size", "28"];
    run(&folder, &usual).expect_code(0);
    // Decoded in another way, here and with what was stored.
    for other in [
        &["--stretch", "10,90"][..],
        &["--no-icc"],
        &["--background", "black"],
    ] {
        run(&folder, &[&usual[..], other].concat())
            .expect_code(1)
            .expect_stderr("`photos`");
        let stored = ["pca", "--features", "f.arrow", "--size", "28"];
        run(&folder, &[&stored[..], other].concat())
            .expect_code(2)
            .expect_stderr("decoded with");
    }
    // Lines of what is there, and of what is new.
    let both = [
        "features", "a.jpg", "b.jpg", "-o", "f.arrow", "--size", "28", "--json",
    ];
    let said = run(&folder, &both).expect_code(0);
    let status = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["status"].as_str().unwrap_or("summary").to_owned()
    };
    let lines: Vec<String> = said.lines().iter().map(status).collect();
    assert_eq!(lines, ["done", "skipped"]);
    // A part that was changed is not trusted.
    let part = folder.path().join("f.arrow/part-00000.arrow");
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, bytes).unwrap();
    for args in [&both[..], &["pca", "--features", "f.arrow", "--size", "28"]] {
        run(&folder, args)
            .expect_code(1)
            .expect_stderr("was changed since it was written");
    }
    run(&folder, &[&both[..], &["--force"]].concat()).expect_code(0);
    assert_eq!(rows(&folder, "f.arrow").len(), 2);
}

#[test]
fn a_head_with_a_coarser_look_changes_no_rows_beside_it() {
    let folder = folder_of(&[("a.jpg", "room.jpg")]);
    let alone = ["features", "a.jpg", "-o", "alone.npy", "--size", "56"];
    run(&folder, &alone).expect_code(0);
    let beside = [
        "run",
        "a.jpg",
        "--depth",
        "--set",
        "depth.size=56",
        "--save-features",
        "beside.npy",
        "--set",
        "features.size=56",
    ];
    run(&folder, &beside).expect_code(0);
    assert_eq!(rows(&folder, "beside.npy"), rows(&folder, "alone.npy"));
}
