//! `--shard`: jobs that share photos and write to one folder; and commands that list, check and join the records of
//! such folders.

use std::path::Path;
use std::{fs, thread};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Run, command, dino_with_model, files_below, finish, store_with_focus};

/// A temporary folder with twelve small photos in two folders, and a photo of two pages.
fn photos() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, name) in (0u8..).zip(["x/a", "x/b", "x/c", "x/d", "y/a", "y/b", "y/c", "y/d"]) {
        let path = folder.path().join(format!("in/{name}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let photo = image::RgbImage::from_fn(40, 30, |x, y| {
            image::Rgb([(x * 6) as u8, (y * 8) as u8, 30 * index])
        });
        photo.save(path).unwrap();
    }
    folder
}

fn run(folder: &Path, args: &[&str]) -> Run {
    dino_with_model(folder, &[args, &["--device", "null"]].concat())
}

fn plain(folder: &Path, args: &[&str]) -> Run {
    dino_with_model(folder, args)
}

fn pictures(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = files_below(folder).into_iter();
    let names = names.filter(|name| name.ends_with(".png"));
    names
        .map(|name| (name.clone(), fs::read(folder.join(name)).unwrap()))
        .collect()
}

#[test]
fn shards_fill_a_folder_at_once_and_each_photo_is_made_once() {
    let folder = photos();
    let at = folder.path();
    let depth = ["depth", "-r", "in"];
    run(at, &[&depth[..], &["-o", "whole"]].concat()).expect_code(0);
    let runs: Vec<Run> = thread::scope(|scope| {
        let jobs = (1..=3).map(|number| {
            let shard = format!("{number}/3");
            scope.spawn(move || {
                let args = [&depth[..], &["-o", "out", "--shard", &shard]].concat();
                run(at, &args).expect_code(0)
            })
        });
        let jobs: Vec<_> = jobs.collect();
        jobs.into_iter().map(|job| job.join().unwrap()).collect()
    });
    let made: usize = runs.iter().map(|run| run.lines().len()).sum();
    assert_eq!(made, 8);
    for (number, run) in (1..).zip(&runs) {
        let count = run.lines().len();
        let told = format!("{count} of 8 photos are in shard {number}/3");
        assert!(run.stderr.contains(&told), "{}", run.stderr);
    }
    assert!(pictures(&at.join("out")) == pictures(&at.join("whole")));
    assert!(!at.join("out/manifest.jsonl").exists());

    // All know what all have made.
    run(at, &[&depth[..], &["-o", "out"]].concat())
        .expect_code(0)
        .expect_stderr("8 already there, skipped");
    run(at, &[&depth[..], &["-o", "out", "--shard", "1/2"]].concat())
        .expect_code(0)
        .expect_stderr("already there, skipped");
    plain(at, &["manifest", "merge", "out"])
        .expect_code(0)
        .expect_stderr("16 lines");
    let names = fs::read_dir(at.join("out")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name());
    let records: Vec<_> = names
        .filter(|name| name.to_string_lossy().starts_with("manifest"))
        .collect();
    assert_eq!(records, ["manifest.jsonl"]);
    run(at, &[&depth[..], &["-o", "out"]].concat()).expect_stderr("8 already there, skipped");
}

#[test]
fn a_shard_without_photos_is_done() {
    let folder = photos();
    let args = ["depth", "in/x/a.png", "--shard"];
    let codes = ["1/2", "2/2"].map(|shard| {
        let ran = run(folder.path(), &[&args[..], &[shard]].concat()).expect_code(0);
        ran.lines().len()
    });
    assert_eq!(codes.iter().sum::<usize>(), 1);
    for task in [
        &["pca", "--fit", "each"][..],
        &["attention"],
        &["run", "--depth"],
    ] {
        for shard in ["1/2", "2/2"] {
            let args = match task[0] {
                "run" => vec!["run", "in/x/a.png", "--shard", shard, "--depth"],
                _ => [task, &["in/x/a.png", "--shard", shard]].concat(),
            };
            run(folder.path(), &args).expect_code(0);
        }
    }
}

#[test]
fn what_needs_all_photos_is_refused_in_shards() {
    let folder = photos();
    for (args, why) in [
        (&["pca"][..], "--basis FILE"),
        (&["segment", "--clusters", "2"], "--codebook FILE"),
        (&["depth", "--range", "global"], "--range 0.5,10"),
        (
            &["segment", "--head", "street", "--coco", "all.json"],
            "each shard would write one about its own",
        ),
        (
            &["depth", "-o", "x.png"],
            "each shard would write the same file",
        ),
        (&["depth", "--shard", "0/2"], "shards are counted from 1"),
    ] {
        let args = [&["--shard", "2/3"], args].concat();
        let args = [&args[2..3], &["-r", "in"], &args[..2], &args[3..]].concat();
        run(folder.path(), &args).expect_code(2).expect_stderr(why);
    }
    assert!(!folder.path().join("all.json").exists());
    // With a fit there is nothing to share. That of the constant network is nobody's.
    let at = folder.path();
    let pca = |more: &[&str]| {
        let args = [&["pca", "-r", "in", "--size", "56"][..], more].concat();
        plain(at, &args).expect_code(0)
    };
    pca(&["--save-basis", "basis", "-o", "whole"]);
    for shard in ["1/2", "2/2"] {
        pca(&["--basis", "basis", "-o", "out", "--shard", shard]);
    }
    assert_eq!(pictures(&at.join("out")).len(), 8);
    pca(&["--shard", "1/1", "-o", "one"]);
}

#[test]
fn the_photo_that_is_asked_about_is_in_all_shards() {
    let folder = photos();
    let mut made = 0;
    for shard in ["1/3", "2/3", "3/3"] {
        let args = ["similar", "-r", "in", "--at", "5,5", "--shard", shard];
        made += run(folder.path(), &args).expect_code(0).lines().len();
    }
    assert_eq!(made, 8);
}

#[test]
fn schedulers_tell_the_shard() {
    let folder = photos();
    let depth = |shard: &str, variables: &[(&str, &str)]| {
        let args = ["depth", "-r", "in", "--device", "null", "--shard", shard];
        let mut command = command(&args);
        command
            .current_dir(folder.path())
            .env("DINO_HOME", store_with_focus())
            .envs(variables.iter().copied());
        finish(&mut command, b"")
    };
    let slurm = [
        ("SLURM_ARRAY_TASK_ID", "4"),
        ("SLURM_ARRAY_TASK_MIN", "3"),
        ("SLURM_ARRAY_TASK_MAX", "6"),
        ("SLURM_ARRAY_TASK_COUNT", "4"),
        ("SLURM_ARRAY_TASK_STEP", "1"),
    ];
    depth("auto", &slurm)
        .expect_code(0)
        .expect_stderr("photos are in shard 2/4");
    depth("auto/9", &slurm)
        .expect_code(0)
        .expect_stderr("photos are in shard 4/9");
    depth("auto/2", &[("JOB_COMPLETION_INDEX", "1")])
        .expect_code(0)
        .expect_stderr("photos are in shard 2/2");
    depth("auto", &[("JOB_COMPLETION_INDEX", "1")])
        .expect_code(2)
        .expect_stderr("--shard auto/N");
    depth("auto", &[])
        .expect_code(2)
        .expect_stderr("none of SLURM_ARRAY_TASK_ID");
}

#[test]
fn what_is_missing_is_listed_and_named_as_an_array() {
    let folder = photos();
    let at = folder.path();
    let missing = |more: &[&str]| {
        let args = [&["manifest", "missing", "out", "-r", "in"][..], more].concat();
        plain(at, &args).expect_code(0)
    };
    assert_eq!(missing(&[]).lines().len(), 8);
    for shard in ["1/5", "2/5", "3/5"] {
        run(at, &["depth", "-r", "in", "-o", "out", "--shard", shard]).expect_code(0);
    }
    let left = missing(&[]).lines();
    assert!(!left.is_empty() && left.len() < 8, "{left:?}");
    assert_eq!(missing(&["--task", "pca"]).lines().len(), 8);
    let array = missing(&["--slurm", "5"]).lines().remove(0);
    assert!(
        ["--array=4", "--array=5", "--array=4-5"].contains(&array.as_str()),
        "{array}"
    );
    assert_eq!(
        missing(&["--shards", "5"]).lines()[0],
        array["--array=".len()..]
    );
    // The tasks of that array, and nothing else, make the rest.
    for id in array["--array=".len()..].split(['-', ',']) {
        let args = [
            "depth", "-r", "in", "-o", "out", "--device", "null", "--shard", "auto/5",
        ];
        let mut command = command(&args);
        command
            .current_dir(at)
            .env("DINO_HOME", store_with_focus())
            .env("SLURM_ARRAY_TASK_ID", id);
        finish(&mut command, b"").expect_code(0);
    }
    let none = missing(&["--slurm", "5"]);
    assert!(none.lines().is_empty());
    none.expect_stderr("0 of 8 photos are missing");
    fs::remove_file(at.join("out/x/b.depth.png")).unwrap();
    let gone = missing(&["--print0"]);
    assert_eq!(gone.stdout, b"in/x/b.png\0");
}

#[test]
fn outputs_are_verified_by_their_content() {
    let folder = photos();
    let at = folder.path();
    run(at, &["depth", "-r", "in", "-o", "out"]).expect_code(0);
    let verify = |more: &[&str]| plain(at, &[&["manifest", "verify", "out"][..], more].concat());
    verify(&[]).expect_code(0).expect_stderr("8 unchanged");
    let picture = at.join("out/x/a.depth.png");
    let time = fs::metadata(&picture).unwrap().modified().unwrap();
    let mut bytes = fs::read(&picture).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&picture, bytes).unwrap();
    let file = fs::File::options().append(true).open(&picture).unwrap();
    file.set_modified(time).unwrap();
    fs::remove_file(at.join("out/y/d.depth.png")).unwrap();
    let said = verify(&[]).expect_code(1);
    let mut lines = said.lines();
    lines.sort();
    assert_eq!(
        lines,
        ["out/x/a.depth.png: changed", "out/y/d.depth.png: missing"]
    );
    let said = verify(&["--json"]).expect_code(1);
    let summary: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(summary["summary"]["unchanged"], 6);
    assert_eq!(summary["summary"]["missing"], 1);
    for command in ["verify", "errors", "merge"] {
        plain(at, &["manifest", command, "in"])
            .expect_code(1)
            .expect_stderr("has no manifest.jsonl");
    }
}

#[test]
fn folders_are_joined_in_one_record() {
    let folder = photos();
    let at = folder.path();
    run(at, &["depth", "in/x", "-o", "one"]).expect_code(0);
    run(at, &["depth", "in/y", "-o", "two"]).expect_code(0);
    plain(
        at,
        &["manifest", "merge", "all", "one", "two/manifest.jsonl"],
    )
    .expect_code(0);
    plain(at, &["manifest", "verify", "all"])
        .expect_code(0)
        .expect_stderr("8 unchanged");
    fs::remove_file(at.join("two/a.depth.png")).unwrap();
    plain(at, &["manifest", "verify", "all"]).expect_code(1);
}
