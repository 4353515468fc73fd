//! `dino bench`, and the cost of a photo that `-v` prints.

use serde_json::Value;

use crate::program::{dino_with_model, sample};

fn bench(args: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let args = [&["bench", "--json", "-"], args].concat();
    let run = dino_with_model(folder.path(), &args).expect_code(0);
    serde_json::from_slice(&run.stdout).unwrap()
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap()
}

#[test]
fn figures_are_those_of_the_model_that_ran() {
    let rows = bench(&["--size", "56,98x70", "--runs", "3"]);
    let tokens: Vec<_> = rows.iter().map(|row| row["tokens"].as_u64()).collect();
    assert_eq!(tokens, [Some(1 + 4 * 4), Some(1 + 7 * 5)]);
    for row in &rows {
        let median = number(row, "median_ms");
        assert!(0.0 < median);
        assert!(number(row, "p10_ms") <= median && median <= number(row, "p90_ms"));
        let rate = number(row, "gflop") / median * 1e3;
        assert!((number(row, "gflop_per_s") / rate - 1.0).abs() < 1e-6);
        assert_eq!(row["random_weights"], Value::Bool(false));
        assert_eq!(row["model"], "vits14-focus");
    }
}

#[test]
fn a_model_that_is_not_installed_is_measured_with_random_weights() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "bench",
        "--models",
        "dino-vits16",
        "--size",
        "32",
        "--runs",
        "1",
    ];
    let run = dino_with_model(folder.path(), &args)
        .expect_code(0)
        .expect_stderr("dino-vits16 is not installed; measured with random weights");
    assert!(run.lines()[1].starts_with("dino-vits16          32x32       5"));
    let args = ["bench", "--size", "native"];
    dino_with_model(folder.path(), &args)
        .expect_code(2)
        .expect_stderr("--size native means nothing without a photo");
}

#[test]
fn everything_but_the_network_can_be_measured() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["room.jpg", "dogs.jpg"] {
        std::fs::copy(sample(name), folder.path().join(name)).unwrap();
    }
    let outputs = |more: &[&str]| {
        let args = ["run", "room.jpg", "dogs.jpg", "--device", "null", "--force"];
        let tasks = ["--depth", "--segment", "--pca", "--set", "depth.save=npy"];
        let run = dino_with_model(folder.path(), &[&args, &tasks[..], more].concat());
        let run = run
            .expect_code(0)
            .expect_stderr("vits14-focus on null")
            .expect_stderr("pictures and numbers mean nothing");
        assert_eq!(run.stderr.matches("--device null").count(), 1);
        let bytes = |path: String| std::fs::read(folder.path().join(path)).unwrap();
        run.lines().into_iter().map(bytes).collect::<Vec<_>>()
    };
    let single = outputs(&["--threads", "1"]);
    assert_eq!(single.len(), 8);
    assert!(single == outputs(&["--threads", "2"]));
    assert!(single == outputs(&["--batch-size", "2"]));
    let attention = ["attention", "room.jpg", "--device", "null"];
    dino_with_model(folder.path(), &attention).expect_code(0);
    let rows = bench(&["--size", "56", "--runs", "1", "--device", "null"]);
    assert_eq!(rows[0]["device"], "null");
    for refused in [
        &["train", "depth", ".", "-o", "x.safetensors"][..],
        &["eval", "depth", "."],
        &["selfcheck"],
    ] {
        let args = [refused, &["--device", "null"]].concat();
        let run = dino_with_model(folder.path(), &args).expect_code(2);
        run.expect_stderr("--device null: this command is about what the network gives");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_within_what_the_readme_says() {
    let rows = bench(&["--size", "518", "--runs", "1"]);
    let peak = number(&rows[0], "peak_rss_mb");
    assert!(peak < 200.0, "{peak} MB");
}

#[test]
fn a_photo_s_cost_is_told_beforehand() {
    let folder = tempfile::tempdir().unwrap();
    let room = sample("room.jpg");
    let args = ["pca", room.to_str().unwrap(), "--size", "56", "-v"];
    let run = dino_with_model(folder.path(), &args).expect_code(0);
    let plan = run.stderr.find("GFLOP, ").unwrap();
    assert!(run.stderr[plan..].contains(" MB of memory"));
    assert!(
        plan < run.stderr.find("backbone ").unwrap(),
        "{}",
        run.stderr
    );
}
