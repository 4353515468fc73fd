//! What every command does with help, version, wrong usage and closed pipes.

#![allow(clippy::unwrap_used)]

use std::process::Stdio;

use crate::program::{command, dino, finish};

/// The arguments that name each command.
const COMMANDS: &[&[&str]] = &[
    &["depth"],
    &["segment"],
    &["pca"],
    &["run"],
    &["attention"],
    &["similar"],
    &["train", "depth"],
    &["train", "segment"],
    &["eval", "depth"],
    &["eval", "segment"],
    &["heads"],
    &["models"],
    &["info"],
    &["completions"],
    &["man"],
];

#[test]
fn the_version_is_that_of_the_package() {
    let run = dino(&["--version"]).expect_code(0);
    assert_eq!(
        run.lines(),
        [format!("dino {}", dino::model::device::launcher::VERSION)]
    );
}

#[test]
fn help_goes_to_stdout_and_shows_examples() {
    for args in [&["--help"], &["-h"]] {
        let text = dino(args).expect_code(0).lines().join("\n");
        assert!(
            text.contains("dino pca photo.jpg") && text.contains("Usage: dino"),
            "{text}"
        );
    }
    for command in COMMANDS {
        let run = dino(&[command, ["--help"].as_slice()].concat()).expect_code(0);
        assert!(run.stderr.is_empty());
        assert!(
            run.lines().iter().any(|line| line.contains("Usage: dino")),
            "{command:?}"
        );
    }
}

#[test]
fn nothing_to_do_is_wrong_usage() {
    dino::<&str>(&[])
        .expect_code(2)
        .expect_stderr("Usage: dino");
    dino(&["pca"]).expect_code(2).expect_stderr("<INPUT>...");
}

#[test]
fn wrong_values_name_the_allowed_ones() {
    for (args, allowed) in [
        (&["frobnicate"][..], "unrecognized subcommand"),
        (&["modles"], "'models'"),
        (
            &["pca", "x.jpg", "--device", "gpu"],
            "auto, cpu, cuda, cuda:N, cuda:N,M",
        ),
        (
            &["pca", "x.jpg", "--device", "cuda:1,1"],
            "GPU 1 is named twice",
        ),
        (
            &["bench", "--device", "cuda:0,1"],
            "this command computes on one device",
        ),
        (&["pca", "x.jpg", "--dtype", "f8"], "auto, f32, bf16, f16"),
        (&["pca", "x.jpg", "--threads", "0"], "--threads"),
        (&["pca", "x.jpg", "--batch-size", "none"], "--batch-size"),
        (
            &["pca", "x.jpg", "--max-megapixels", "-3"],
            "--max-megapixels",
        ),
        (&["pca", "x.jpg", "--max-megapixels=nan"], "above 0"),
        (&["pca", "x.jpg", "--recursvie"], "--recursive"),
        (&["info", "-q", "-v"], "--verbose"),
        (
            &["completions", "tcsh"],
            "bash, elvish, fish, powershell, zsh",
        ),
    ] {
        let run = dino(args).expect_code(2).expect_stderr(allowed);
        assert!(
            run.stdout.is_empty() && run.stderr.starts_with("error: "),
            "{args:?}: {}",
            run.stderr
        );
    }
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = dino(&["completions", shell])
            .expect_code(0)
            .lines()
            .join("\n");
        assert!(
            script.contains("dino") && script.contains("max-megapixels"),
            "{shell}"
        );
    }
}

#[test]
fn bash_accepts_its_completions() {
    let script = dino(&["completions", "bash"]).expect_code(0).stdout;
    let Ok(bash) = std::process::Command::new("bash").arg("--version").output() else {
        return eprintln!("skipped: no bash here");
    };
    assert!(bash.status.success());
    let check = r#"source /dev/stdin && complete -p dino"#;
    let mut shell = std::process::Command::new("bash");
    let run = finish(shell.args(["--norc", "-c", check]), &script).expect_code(0);
    assert!(run.lines()[0].ends_with("dino"));
}

#[test]
fn the_manual_describes_every_command_and_option() {
    let page = dino(&["man"]).expect_code(0).lines().join("\n");
    assert!(page.contains(".TH dino 1"), "{page}");
    for needle in [
        "DINO PCA",
        "DINO INFO",
        r"\-\-max\-megapixels",
        r"\-\-quiet",
        "EXTRA",
        "photo.jpg",
    ] {
        assert!(page.contains(needle), "{needle} is not in the manual");
    }
}

#[test]
fn info_is_readable_by_people_and_programs() {
    // What a user may have set, or not, on top of it is shown at the end.
    let mut info = command(&["info"]);
    for task in ["DEPTH", "SEGMENT", "CLASSIFY"] {
        info.env_remove(format!("DINO_HEAD_{task}"));
    }
    // This build alone, which as a rule has no GPU, and says so.
    for name in ["DINO_HTTP_TIMEOUT", "DINO_CUDA", "DINO_WEIGHTS"] {
        info.env_remove(name);
    }
    let mut labels: Vec<String> = finish(&mut info, b"")
        .expect_code(0)
        .lines()
        .iter()
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect();
    labels.dedup();
    assert_eq!(
        labels,
        [
            "dino", "features", "devices", "gpu", "threads", "simd", "models", "depth", "segment",
            "default", "store", "network", "hub", "token", "cache", "cached", "heads", "https",
            "http", "direct"
        ]
    );

    let run = dino(&["info", "--json", "--threads", "3"]).expect_code(0);
    assert_eq!(run.lines().len(), 1);
    let info: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["threads"], 3);
    let devices = info["devices"].as_array().unwrap();
    assert!(devices.contains(&"cpu".into()));
    // Either a GPU is used, or it is said why none is.
    assert!(info["gpus"].is_array());
    assert_eq!(info["gpu_unused"].is_string(), devices[0] == "cpu");
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    // Gone before the program starts, or a short page would fit into the pipe first.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(&["man"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(141));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_stdout_is_an_error() {
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = command(&["info"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(stderr, "error: <stdout>: no space left on device\n");
}
