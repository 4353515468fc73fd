//! Interrupted runs: what is finished stays, and nothing half-written is left.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{pca_command, photos};
use crate::results::names_in_dino_out;

/// Starts a run over many photos and waits until the first picture is there.
fn start(folder: &TempDir) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = pca_command(folder.path(), &["in", "--fit", "each", "--size", "224"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("dino-out/"), "{line}");
    (child, stdout)
}

fn many_photos() -> TempDir {
    let folder = photos(&["in/0.jpg"]);
    for i in 1..200 {
        fs::copy(
            folder.path().join("in/0.jpg"),
            folder.path().join(format!("in/{i}.jpg")),
        )
        .unwrap();
    }
    folder
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(child.id().to_string())
        .status();
    assert!(sent.unwrap().success());
}

/// What is there is complete, and not everything is there.
fn check_outputs(folder: &TempDir) {
    let outputs = names_in_dino_out(folder);
    assert!(
        !outputs.is_empty() && outputs.len() < 200,
        "{} outputs",
        outputs.len()
    );
    for name in outputs {
        assert!(name.ends_with(".pca.png"), "{name} was left behind");
        image::open(folder.path().join("dino-out").join(name)).unwrap();
    }
}

#[test]
fn an_interruption_ends_between_two_photos() {
    for name in ["INT", "TERM"] {
        let folder = many_photos();
        let (child, stdout) = start(&folder);
        signal(&child, name);
        let rest = stdout.lines().count();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{name}: {stderr}");
        assert!(
            stderr.contains("stopping after what is under way"),
            "{stderr}"
        );
        let of_all = stderr.matches(" of 200 images").count();
        assert!(stderr.contains("stopped at ") && of_all == 1, "{stderr}");
        assert_eq!(
            names_in_dino_out(&folder).len(),
            rest + 1,
            "every picture was announced"
        );
        check_outputs(&folder);
    }
}

#[test]
fn a_second_interruption_ends_at_once() {
    let folder = many_photos();
    let (child, _stdout) = start(&folder);
    signal(&child, "INT");
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    check_outputs(&folder);
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let folder = many_photos();
    let (child, stdout) = start(&folder);
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(141), "{stderr}");
    assert!(!stderr.contains("panic"), "{stderr}");
    check_outputs(&folder);
}
