//! `dino features`, and heads and bases on what it stored.

use std::fs;
use std::path::Path;

use dino::io::features::{Dataset, FeatureRow};
use serde_json::Value;
use tempfile::TempDir;

use crate::goldens::{Golden, max_abs};
use crate::program::{Run, dino_with_model, files_below, folder_of, read, sample};

const ENDINGS: [&str; 5] = ["parquet", "arrow", "safetensors", "npy", "tar"];

fn run(folder: &TempDir, args: &[&str]) -> Run {
    dino_with_model(folder.path(), args)
}

fn rows(folder: &TempDir, name: &str) -> Vec<FeatureRow> {
    let dataset = Dataset::open(&folder.path().join(name)).unwrap();
    let mut rows: Vec<FeatureRow> = (0..dataset.len())
        .map(|index| dataset.read(index).unwrap())
        .collect();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}

#[test]
fn stored_features_are_those_of_transformers() {
    let folder = folder_of(&[("chelsea.png", "chelsea.png")]);
    let args = ["features", "chelsea.png", "-o", "f.npy", "--size", "native"];
    let layers = ["--blocks", "2,5,8,11", "--no-norm", "--dtype", "f32"];
    run(&folder, &[&args[..], &layers].concat()).expect_code(0);
    let row = &rows(&folder, "f.npy")[0];
    assert_eq!(
        (
            row.photo_size,
            row.grid.rows,
            row.grid.cols,
            row.key.as_str()
        ),
        ((451, 300), 22, 33, "chelsea")
    );
    assert_eq!(
        row.sha256,
        dino::model::weights::digest::sha256(&read(&folder, "chelsea.png"))
    );
    let golden = Golden::load("focus");
    let index = |name: &str| -> Vec<usize> {
        let numbers = golden.numbers(name);
        numbers.iter().map(|&at| at as usize).collect()
    };
    let (channels, positions) = (index("channels"), index("chelsea.tokens"));
    let tokens = row.grid.len();
    for (layer, block) in [2, 5, 8, 11].into_iter().enumerate() {
        let of_token =
            |token: &[f32]| -> Vec<f64> { channels.iter().map(|&c| f64::from(token[c])).collect() };
        let patches = positions
            .iter()
            .flat_map(|&at| of_token(&row.patches[(layer * tokens + at) * 384..][..384]));
        let expected = golden.numbers(&format!("chelsea.block{block}"));
        let difference = max_abs(&patches.collect::<Vec<_>>(), &expected);
        assert!(difference < 5e-4, "block {block}: {difference:e}");
    }
}

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
fn heads_and_bases_find_in_stored_features_what_they_find_in_photos() {
    let folder = folder_of(&[("in/a.jpg", "room.jpg"), ("in/b.png", "coffee.png")]);
    let store = |name: &str, more: &[&str]| {
        let args = ["features", "in", "-o", name, "--size", "112"];
        run(&folder, &[&args[..], more].concat()).expect_code(0);
    };
    store("i.arrow", &["--for", "indoor", "--dtype", "f32"]);
    store("half.parquet", &["--for", "indoor"]);
    store("l.tar", &["--dtype", "f32"]);
    let same = |args: &[&str], dataset: &str| {
        let direct = [args, &["in", "-o", "direct"]].concat();
        let stored = [args, &["--features", dataset, "-o", "stored"]].concat();
        run(&folder, &direct).expect_code(0);
        let said = run(&folder, &stored).expect_code(0);
        assert!(!said.stderr.contains(" on cpu"), "{}", said.stderr);
        let files = files_below(&folder.path().join("direct"));
        assert_eq!(files_below(&folder.path().join("stored")), files);
        for file in files.iter().filter(|file| !file.starts_with("manifest")) {
            let [a, b] = ["direct", "stored"].map(|at| read(&folder, &format!("{at}/{file}")));
            assert!(a == b, "{args:?}: {file}");
        }
        for at in ["direct", "stored"] {
            fs::remove_dir_all(folder.path().join(at)).unwrap();
        }
    };
    same(&["depth", "--size", "112", "--save", "npy"], "i.arrow");
    same(
        &["pca", "--size", "112", "--raw", "--side-by-side"],
        "l.tar",
    );
    same(&["segment", "--clusters", "3", "--size", "112"], "l.tar");
    same(
        &[
            "run",
            "--depth",
            "--set",
            "depth.size=112",
            "--set",
            "depth.refine=true",
        ],
        "i.arrow",
    );
    // As exact as what is stored.
    let depths = |args: &[&str]| {
        let args = [
            &["depth", "--size", "112", "--save", "npy", "-o", "d"],
            args,
        ]
        .concat();
        run(&folder, &args).expect_code(0);
        let bytes = read(&folder, "d/a.depth.npy");
        fs::remove_dir_all(folder.path().join("d")).unwrap();
        let numbers = bytes[128..].chunks_exact(4);
        let numbers = numbers.map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        numbers.collect::<Vec<_>>()
    };
    let (exact, half) = (depths(&["in"]), depths(&["--features", "half.parquet"]));
    let worst = exact.iter().zip(&half).map(|(a, b)| ((a - b) / a).abs());
    let worst = worst.fold(0.0, f32::max);
    assert!(worst > 0.0 && worst < 0.01, "{worst}");
    // Without the photos, where nothing of them is shown.
    fs::rename(folder.path().join("in"), folder.path().join("gone")).unwrap();
    assert_eq!(depths(&["--features", "i.arrow"]), exact);
    let shown = [
        "depth",
        "--size",
        "112",
        "--features",
        "i.arrow",
        "--side-by-side",
    ];
    run(&folder, &shown)
        .expect_code(1)
        .expect_stderr("in/a.jpg: no such file");
    // Of a photo that has changed since, they are not.
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::copy(sample("dogs.jpg"), folder.path().join("in/a.jpg")).unwrap();
    let changed = [
        "depth",
        "--size",
        "112",
        "--features",
        "i.arrow",
        "-o",
        "other",
    ];
    run(&folder, &changed)
        .expect_code(1)
        .expect_stderr("was changed since its features were stored");
    assert_eq!(
        files_below(&folder.path().join("other"))
            .iter()
            .filter(|name| name.ends_with(".png"))
            .count(),
        1
    );
}

#[test]
fn what_stored_features_lack_is_named() {
    let folder = folder_of(&[("a.jpg", "room.jpg"), ("other.jpg", "dogs.jpg")]);
    for (name, more) in [
        ("plain.npy", &[][..]),
        ("pooled.npy", &["--pool", "2"]),
        ("cls.npy", &["--what", "cls"]),
    ] {
        let args = ["features", "a.jpg", "-o", name, "--size", "56"];
        run(&folder, &[&args[..], more].concat()).expect_code(0);
    }
    for (args, code, why) in [
        (&["depth", "--features", "plain.npy"][..], 2, "--for HEAD"),
        (&["pca", "--features", "plain.npy"], 2, "size 56"),
        (
            &["pca", "--features", "pooled.npy", "--size", "56"],
            2,
            "pooled to 2 x 2",
        ),
        (
            &["pca", "--features", "cls.npy", "--size", "56"],
            2,
            "no patch tokens",
        ),
        (
            &[
                "pca",
                "--features",
                "plain.npy",
                "--size",
                "56",
                "--layer",
                "3",
            ],
            2,
            "block 11",
        ),
        (&["pca", "--features", "nosuch.npy"], 1, "nosuch.npy: "),
        (
            &["pca", "--features", "plain.npy", "--model", "vitb14"],
            2,
            "vits14-focus",
        ),
        (
            &["pca", "--features", "plain.npy", "--device", "cpu"],
            2,
            "--device",
        ),
        (
            &[
                "pca",
                "other.jpg",
                "--features",
                "plain.npy",
                "--size",
                "56",
            ],
            1,
            "other.jpg has no features in plain.npy",
        ),
        (&["features", "a.jpg", "-o", "x.csv"], 2, ".parquet"),
        (
            &["features", "a.jpg", "-o", "x.npy", "--blocks", "12"],
            2,
            "--blocks 12",
        ),
        (
            &["features", "a.jpg", "-o", "x.npy", "--blocks", "3,3"],
            2,
            "twice",
        ),
        (
            &["features", "a.jpg", "-o", "x.npy", "--what", "registers"],
            2,
            "has none",
        ),
        (
            &[
                "features", "a.jpg", "-o", "a.npy", "--what", "cls", "--pool", "2",
            ],
            2,
            "pool",
        ),
    ] {
        run(&folder, args).expect_code(code).expect_stderr(why);
    }
    assert!(!folder.path().join("x.npy").exists());
}

#[test]
fn tokens_are_pooled_projected_and_taken_at_pixels() {
    let folder = folder_of(&[("a.jpg", "room.jpg")]);
    let store = |name: &str, more: &[&str]| {
        let args = [
            "features", "a.jpg", "-o", name, "--size", "56", "--dtype", "f32",
        ];
        run(&folder, &[&args[..], more].concat()).expect_code(0);
        rows(&folder, name).remove(0)
    };
    let whole = store("whole.npy", &[]);
    let mean = |at: usize| {
        let tokens = whole
            .patches
            .chunks_exact(384)
            .map(|token| f64::from(token[at]));
        (tokens.sum::<f64>() / whole.grid.len() as f64) as f32
    };
    let pooled = store("pooled.npy", &["--pool", "1"]);
    assert_eq!(pooled.patches.len(), 384);
    assert!((0..384).all(|at| (pooled.patches[at] - mean(at)).abs() < 1e-5));
    let fit = [
        "pca",
        "a.jpg",
        "--size",
        "56",
        "--save-basis",
        "b.safetensors",
        "--raw",
    ];
    run(&folder, &fit).expect_code(0);
    let projected = store("basis.npy", &["--basis", "b.safetensors"]);
    let raw = read(&folder, "dino-out/a.pca.npy");
    let raw: Vec<f32> = raw[128..]
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    assert_eq!(projected.patches, raw);
    // The middle of the second patch of the second row, in pixels of a photo of 854 x 1280 that is seen at 56 x 84.
    let middle = |pixels: f32, seen: f32| (14.0 + 7.0) * pixels / seen - 0.5;
    let (x, y) = (middle(854.0, 56.0), middle(1280.0, 84.0));
    fs::write(
        folder.path().join("p.csv"),
        format!("photo,x,y\na.jpg,{x},{y}\n"),
    )
    .unwrap();
    let at = store("at.npy", &["--at", "p.csv"]);
    assert!(at.patches.is_empty() && at.cls.is_empty());
    assert_eq!(at.points.len(), 1);
    let token = &whole.patches[(whole.grid.cols + 1) * 384..][..384];
    let found = at.point_features.iter().zip(token);
    let worst = found.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-3, "{worst}");
    fs::write(folder.path().join("p.csv"), "x,y\n854,3\n").unwrap();
    let outside = [
        "features", "a.jpg", "-o", "out.npy", "--size", "56", "--at", "p.csv",
    ];
    run(&folder, &outside)
        .expect_code(1)
        .expect_stderr("854,3 lies outside");
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
