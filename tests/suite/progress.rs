//! The progress messages of a run over several photos when stderr is not a terminal.

use std::fs;

use tempfile::TempDir;

use crate::program::{Run, dino_with_model, sample};

fn three_photos() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jpg", "b.jpg", "c.jpg"] {
        fs::copy(sample("room.jpg"), folder.path().join(name)).unwrap();
    }
    folder
}

fn told(run: &Run) -> Vec<&str> {
    let of_progress = |line: &&str| line.contains(" images ");
    run.stderr.lines().filter(of_progress).collect()
}

#[test]
fn a_run_tells_its_start_and_its_end() {
    let folder = three_photos();
    let args = ["depth", "a.jpg", "b.jpg", "c.jpg", "--size", "56", "-q"];
    let loud = &args[..args.len() - 1];
    let run = dino_with_model(folder.path(), loud).expect_code(0);
    let lines = told(&run);
    assert_eq!(lines.len(), 2, "{}", run.stderr);
    assert_eq!(lines[0], "3 images to do");
    let end = lines[1].strip_prefix("3 of 3 images in ").unwrap();
    assert!(end.contains(" s, ") && end.ends_with("/s"), "{end}");
    // Nothing is left to do.
    let again = dino_with_model(folder.path(), loud).expect_code(0);
    assert_eq!(told(&again), [""; 0]);
    let forced = [&args[..], &["--force"]].concat();
    let quiet = dino_with_model(folder.path(), &forced).expect_code(0);
    assert_eq!(quiet.stderr, "");
    let single = ["depth", "a.jpg", "--size", "56", "--force"];
    let single = dino_with_model(folder.path(), &single).expect_code(0);
    assert_eq!(told(&single), [""; 0]);
}

#[test]
fn a_second_pass_says_that_it_draws() {
    let folder = three_photos();
    let args = ["pca", "a.jpg", "b.jpg", "c.jpg", "--size", "56", "--json"];
    let run = dino_with_model(folder.path(), &args).expect_code(0);
    assert_eq!(run.lines().len(), 3, "stdout is for data");
    let lines = told(&run);
    let starts = [
        "3 images to do",
        "3 of 3 images in ",
        "drawing: 3 images to do",
        "drawing: 3 of 3 images in ",
    ];
    assert_eq!(lines.len(), starts.len(), "{}", run.stderr);
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}
