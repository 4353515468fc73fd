//! Clips that were interrupted and continued: the film is the same as without the interruption.

use std::fs;
use std::path::Path;
#[cfg(unix)]
use std::process::Command;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::clips::{dino, fast, folder, make, probe, raw, same_times};
use crate::program::{command, store_with_focus};
use crate::results::first_json;

/// A number of frames that needs more than two segments.
const FRAMES: usize = 620;

/// Labels of a moving clip, which depend on the frames before them.
const LABELS: [&str; 8] = [
    "segment", "clip.mp4", "--size", "56", "--smooth", "0.9", "--save", "ffv1",
];

fn clip(at: &Path) {
    let source = format!(
        "testsrc2=size=90x60:rate=30000/1001:duration={}",
        FRAMES as f64 * 1001.0 / 30000.0 - 0.01
    );
    make(
        at,
        &source,
        &["-c:v", "libx264", "-preset", "ultrafast"],
        "clip.mp4",
    );
}

/// Starts to make a film, and returns when `is_there` holds.
fn begun_until(at: &Path, args: &[&str], is_there: impl Fn() -> bool) -> Child {
    let mut child = command(args)
        .current_dir(at)
        .env("DINO_HOME", store_with_focus())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now();
    while !is_there() {
        assert!(patience.elapsed() < Duration::from_secs(120), "{args:?}");
        assert!(child.try_wait().unwrap().is_none(), "it ended: {args:?}");
        sleep(Duration::from_millis(2));
    }
    child
}

/// Starts to make a film, and returns when this segment of it is stored.
fn begun(at: &Path, args: &[&str], segment: &str) -> Child {
    let told = at.join(segment).join("segment.json");
    begun_until(at, args, || told.is_file())
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Interrupts the program as Ctrl-C does; returns the exit code.
#[cfg(unix)]
fn interrupt(mut child: Child) -> Option<i32> {
    let mut ask = Command::new("kill");
    let asked = ask.args(["-INT", &child.id().to_string()]).status();
    assert!(asked.unwrap().success());
    child.wait().unwrap().code()
}

#[test]
fn a_film_whose_making_was_killed_is_gone_on_with() {
    let folder = folder();
    let at = folder.path();
    clip(at);
    let whole = dino(at, &[&LABELS[..], &["-o", "whole", "--json"]].concat()).expect_code(0);
    assert_eq!(first_json(&whole)["resumed_behind"], 0);
    let made = |folder: &str, name: &str| at.join(folder).join(name);
    let films = ["clip.segment.mp4", "clip.segment.ids.mkv"];
    let source = probe(&at.join("clip.mp4"));
    assert_eq!(source.2.len(), FRAMES);
    same_times(&probe(&made("whole", films[0])).2, &source.2);

    let child = begun(
        at,
        &[&LABELS[..], &["-o", "out"]].concat(),
        "out/clip.segment.parts/000001",
    );
    kill(child);
    assert!(!made("out", films[0]).exists());
    let resumed = [&LABELS[..], &["-o", "out", "--resume", "--json"]].concat();
    dino(at, &[&resumed[..], &["--force"]].concat())
        .expect_code(2)
        .expect_stderr("--force begins anew");
    let run = dino(at, &resumed)
        .expect_code(0)
        .expect_stderr("goes on behind 250 of 620 frames");
    assert_eq!(first_json(&run)["resumed_behind"], 250);
    for key in ["frames", "cuts", "clipped", "is_complete"] {
        assert_eq!(first_json(&run)[key], first_json(&whole)[key], "{key}");
    }
    assert!(fs::read(made("out", films[0])).unwrap() == fs::read(made("whole", films[0])).unwrap());
    assert!(raw(&made("out", films[1]), "gray") == raw(&made("whole", films[1]), "gray"));
    assert_eq!(
        fs::read_dir(at.join("out")).unwrap().count(),
        2,
        "the segments are gone"
    );
    let skipped = dino(at, &resumed).expect_code(0);
    assert_eq!(first_json(&skipped)["status"], "skipped");
}

#[test]
fn damaged_segments_are_made_again_and_two_runs_do_not_meet() {
    let folder = folder();
    let at = folder.path();
    clip(at);
    let args = [
        "depth", "clip.mp4", "--save", "ffv1", "--device", "null", "--size", "56", "-o", "out",
    ];
    let film = at.join("out/clip.depth.mp4");
    dino(at, &args).expect_code(0);
    let whole = fs::read(&film).unwrap();
    fs::remove_dir_all(at.join("out")).unwrap();
    let parts = at.join("out/clip.depth.parts");
    let child = begun(at, &args, "out/clip.depth.parts/000002");
    dino(at, &args)
        .expect_code(1)
        .expect_stderr("another run is making this film");
    kill(child);
    // A bit that flips.
    let numbers = parts.join("000002/numbers.nut");
    let mut bytes = fs::read(&numbers).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&numbers, bytes).unwrap();
    let resumed = [&args[..], &["--resume"]].concat();
    dino(at, &resumed)
        .expect_code(0)
        .expect_stderr("those behind 250 are damaged")
        .expect_stderr("goes on behind 250 of 620");
    assert!(fs::read(&film).unwrap() == whole);
    assert!(!parts.exists());
}

#[cfg(unix)]
#[test]
fn a_film_that_was_ended_early_is_begun_anew() {
    let folder = folder();
    let at = folder.path();
    clip(at);
    let args = [
        "segment", "clip.mp4", "--size", "140", "--head", "everyday", "-o", "out",
    ];
    // While the first segment is written.
    let parts = at.join("out/clip.segment.parts");
    let is_writing = || fs::read_dir(&parts).is_ok_and(|entries| entries.count() > 1);
    let child = begun_until(at, &args, is_writing);
    sleep(Duration::from_millis(700));
    interrupt(child);
    assert!(!parts.exists(), "no segment was whole");
    let again = [&args[..4], &["-o", "out", "--resume", "--device", "null"]].concat();
    dino(at, &again).expect_code(0);
    assert_eq!(probe(&at.join("out/clip.segment.mp4")).2.len(), FRAMES);
}

#[cfg(unix)]
#[test]
fn a_film_that_was_ended_can_be_played_and_gone_on_with() {
    let folder = folder();
    let at = folder.path();
    // Of a variable rate, with sound that goes with it.
    let source = "testsrc2=size=64x48:rate=25:duration=40";
    let options = [
        "-f",
        "lavfi",
        "-i",
        "sine=duration=40",
        "-vf",
        "select='not(mod(n\\,3))+lt(mod(n\\,50)\\,20)'",
        "-fps_mode",
        "passthrough",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
    ];
    make(at, source, &options, "clip.mp4");
    let args = [
        "depth", "clip.mp4", "--save", "ffv1,npy", "--audio", "--device", "null", "--size", "56",
    ];
    let source = probe(&at.join("clip.mp4")).2;
    let whole = dino(at, &[&args[..], &["-o", "whole"]].concat());
    whole.expect_code(0);
    same_times(&probe(&at.join("whole/clip.depth.mp4")).2, &source);

    let child = begun(
        at,
        &[&args[..], &["-o", "out"]].concat(),
        "out/clip.depth.parts/000001",
    );
    let code = interrupt(child);
    let part = probe(&at.join("out/clip.depth.mp4")).2;
    if code == Some(0) {
        // It was done before it heard.
        assert_eq!(part.len(), source.len());
        return;
    }
    assert!((250..source.len()).contains(&part.len()), "{}", part.len());
    same_times(&part, &source[..part.len()]);
    assert_eq!(
        fs::read_dir(at.join("out/clip.depth.frames"))
            .unwrap()
            .count(),
        part.len() + 2
    );

    // Without the word it is made anew, and so it is with other settings.
    let other = [&args[..], &["-o", "out", "--resume", "--colormap", "gray"]].concat();
    let child = begun(
        at,
        &[&args[..], &["-o", "out"]].concat(),
        "out/clip.depth.parts/000001",
    );
    kill(child);
    dino(at, &other)
        .expect_code(0)
        .expect_stderr("made otherwise");
    let child = begun(
        at,
        &[&args[..], &["-o", "out"]].concat(),
        "out/clip.depth.parts/000002",
    );
    kill(child);
    let run = dino(at, &[&args[..], &["-o", "out", "--resume"]].concat());
    run.expect_code(0).expect_stderr("goes on behind 500 of");
    for name in [
        "clip.depth.mp4",
        "clip.depth.frames/frames.csv",
        "clip.depth.frames/000600.npy",
    ] {
        let [out, whole] =
            ["out", "whole"].map(|folder| fs::read(at.join(folder).join(name)).unwrap());
        assert!(out == whole, "{name}");
    }
    // What is not ours in the place of segments is left alone.
    fs::remove_dir_all(at.join("out")).unwrap();
    fs::create_dir_all(at.join("out/clip.depth.parts")).unwrap();
    fs::write(at.join("out/clip.depth.parts/diary.txt"), "mine").unwrap();
    fast(at, &["depth", "clip.mp4", "-o", "out"])
        .expect_code(1)
        .expect_stderr("has something else in it");
    assert!(at.join("out/clip.depth.parts/diary.txt").is_file());
}
