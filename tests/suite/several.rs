//! `dino run`: several tasks over the same photos write what the commands of the tasks write.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::program::{Run, command, files_below, finish, sample, store_with_focus};

fn run(folder: &Path, args: &[&str]) -> Run {
    let mut command = command(args);
    command
        .current_dir(folder)
        .env("DINO_HOME", store_with_focus());
    finish(&mut command, b"")
}

fn two_photos() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["room.jpg", "dogs.jpg"] {
        fs::copy(sample(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn small(task: &str) -> [String; 2] {
    ["--set".into(), format!("{task}.size=112")]
}

#[test]
fn tasks_of_one_run_write_what_their_commands_write() {
    let folder = two_photos();
    let mut args = vec![
        "run",
        "room.jpg",
        "dogs.jpg",
        "-o",
        "together",
        "--depth",
        "--segment",
        "--pca",
    ];
    let sizes = ["depth", "segment", "pca"].map(small);
    args.extend(sizes.iter().flatten().map(String::as_str));
    args.extend(["--set", "depth.save=npy", "--set", "pca.side-by-side=true"]);
    let together = run(folder.path(), &args).expect_code(0);
    let photos = ["room.jpg", "dogs.jpg", "-o", "apart", "--size", "112"];
    let mut lines = Vec::new();
    for extra in [
        ["depth", "--save", "npy"].as_slice(),
        &["segment"],
        &["pca", "--side-by-side"],
    ] {
        let args = [&extra[..1], &photos, &extra[1..]].concat();
        lines.extend(run(folder.path(), &args).expect_code(0).lines());
    }
    let files = files_below(&folder.path().join("apart"));
    assert_eq!(files_below(&folder.path().join("together")), files);
    assert_eq!(files.len(), 8);
    for file in files {
        let [a, b] =
            ["apart", "together"].map(|at| fs::read(folder.path().join(at).join(&file)).unwrap());
        assert!(a == b, "{file}");
    }
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    let apart: Vec<String> = lines
        .iter()
        .map(|line| line.replace("apart", "together"))
        .collect();
    assert_eq!(sorted(together.lines()), sorted(apart));
}

#[test]
fn several_heads_have_files_of_their_own_and_a_recipe_repeats_them() {
    let folder = two_photos();
    let tasks = [
        "--segment",
        "rooms",
        "--segment",
        "street",
        "--set",
        "segment.size=112",
    ];
    let args = [&["run", "room.jpg", "-o", "a"], &tasks[..]].concat();
    run(folder.path(), &args).expect_code(0);
    let names = ["room.segment-rooms.png", "room.segment-street.png"];
    assert_eq!(files_below(&folder.path().join("a")), names);
    let recipe = [&["run", "room.jpg"], &tasks[..], &["--print-recipe"]].concat();
    let recipe = run(folder.path(), &recipe).expect_code(0);
    let text = String::from_utf8(recipe.stdout).unwrap();
    assert!(
        text.contains("model = \"vits14-focus\"") && text.contains("head = \"street\""),
        "{text}"
    );
    fs::write(folder.path().join("r.toml"), text).unwrap();
    let again = ["run", "room.jpg", "-o", "b", "--recipe", "r.toml"];
    run(folder.path(), &again).expect_code(0);
    for name in names {
        let [a, b] = ["a", "b"].map(|at| fs::read(folder.path().join(at).join(name)).unwrap());
        assert!(a == b, "{name}");
    }
}

#[test]
fn wrong_wishes_are_named_before_anything_is_made() {
    let folder = two_photos();
    fs::write(
        folder.path().join("odd.toml"),
        "[[depth]]\ncolourmap = \"x\"\n",
    )
    .unwrap();
    for (args, why) in [
        (vec!["room.jpg"], "name tasks: --depth"),
        (
            vec!["room.jpg", "--segment", "rooms", "--segment", "rooms"],
            "segment by rooms is asked for twice",
        ),
        (
            vec!["room.jpg", "--depth", "--set", "depth.rnage=1"],
            "--set depth.rnage=1: ",
        ),
        (
            vec!["room.jpg", "--depth", "--set", "pca.raw=true"],
            "no task `pca`",
        ),
        (
            vec!["room.jpg", "--depth", "--pca", "-o", "x.png"],
            "--output x.png has room for one picture",
        ),
    ] {
        let args = [vec!["run"], args].concat();
        run(folder.path(), &args).expect_code(2).expect_stderr(why);
    }
    // As `dino depth --head nosuch` says it.
    let unknown = ["run", "room.jpg", "--depth", "nosuch"];
    run(folder.path(), &unknown)
        .expect_code(1)
        .expect_stderr("no head called nosuch");
    let odd = ["run", "room.jpg", "--recipe", "odd.toml"];
    run(folder.path(), &odd)
        .expect_code(1)
        .expect_stderr("odd.toml: is no recipe");
    assert!(!folder.path().join("dino-out").exists());
}
