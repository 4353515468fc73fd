//! Memory limits: a photo that needs too much is refused alone, and a photo takes no more than `-v` announces.

#[cfg(target_os = "linux")]
use std::path::Path;
#[cfg(target_os = "linux")]
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;
use tempfile::tempdir;

use super::photo;
#[cfg(target_os = "linux")]
use crate::program::{Run, finish};
use crate::program::{command, dino_with_model, files_below, store_with_focus};

#[test]
fn one_photo_too_large_does_not_take_the_others_with_it() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let (small, large) = (
        photo(at, "a.png", (90, 60)),
        photo(at, "b.png", (6000, 5000)),
    );
    let other = photo(at, "c.png", (60, 90));
    for command in [
        &["pca"][..],
        &["depth"],
        &["segment"],
        &["segment", "--clusters", "2"],
        &["attention"],
    ] {
        let out = format!("out-{}", command.join(""));
        let args = [
            command,
            &[
                &*small,
                &*large,
                &*other,
                "--size",
                "56",
                "-o",
                &out,
                "--max-memory",
                "60M",
            ],
        ];
        let run = dino_with_model(at, &args.concat()).expect_code(1);
        let run = run.expect_stderr("b.png: needs about ");
        assert!(
            run.stderr.contains("photos may take 63 MB"),
            "{}",
            run.stderr
        );
        assert_eq!(files_below(&at.join(&out)).len(), 2, "{command:?}");
    }
    let args = ["depth", &small, "--max-memory", "lots"];
    dino_with_model(at, &args)
        .expect_code(2)
        .expect_stderr("expected a size such as 4G");
}

#[cfg(target_os = "linux")]
#[test]
fn a_shell_s_limit_is_kept_to() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    photo(at, "a.png", (90, 60));
    photo(at, "b.png", (9000, 8000));
    photo(at, "c.png", (60, 90));
    let program = env!("CARGO_BIN_EXE_dino");
    let script =
        format!("ulimit -v 700000; exec {program} --threads 2 depth --size 56 a.png b.png c.png");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .current_dir(at)
        .env("DINO_HOME", store_with_focus());
    let run = finish(&mut shell, b"").expect_code(1);
    let run = run.expect_stderr("b.png: needs about ");
    assert!(!run.stderr.contains("allocation"), "{}", run.stderr);
    assert_eq!(
        files_below(&at.join("dino-out")),
        ["a.depth.png", "c.depth.png"]
    );
    // Of a strip, the tables for resizing are the larger part.
    photo(at, "d.png", (1, 12_000_000));
    let script = format!("ulimit -v 700000; exec {program} --threads 2 pca --size 56 d.png c.png");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .current_dir(at)
        .env("DINO_HOME", store_with_focus());
    let run = finish(&mut shell, b"").expect_code(1);
    assert!(!run.stderr.contains("allocation"), "{}", run.stderr);
    assert!(run.stderr.contains("d.png: "), "{}", run.stderr);
    assert!(at.join("dino-out/c.pca.png").exists(), "{}", run.stderr);
}

/// Runs `dino` and returns the peak of its resident memory in bytes, as the kernel counts it, with its output.
#[cfg(target_os = "linux")]
fn peak_of(folder: &Path, args: &[&str]) -> (u64, Run) {
    let program = env!("CARGO_BIN_EXE_dino");
    // The shell's own child is the only one, so that its `VmHWM` is asked for in time by the program itself.
    let mut command = Command::new("sh");
    let script = "\"$@\" & child=$!; high=0; while [ -r /proc/$child/status ]; do \
                  now=$(sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$child/status 2>/dev/null); \
                  [ -n \"$now\" ] && high=$now; sleep 0.01; done; wait $child; code=$?; echo peak $high; exit $code";
    command.args(["-c", script, "sh", program]).args(args);
    command
        .current_dir(folder)
        .env("DINO_HOME", store_with_focus());
    let run = finish(&mut command, b"");
    let peak = run
        .lines()
        .iter()
        .find_map(|line| line.strip_prefix("peak ")?.parse::<u64>().ok());
    (peak.unwrap() * 1024, run)
}

/// The memory in bytes that `-v` announces for a photo.
#[cfg(target_os = "linux")]
fn promised(run: &Run) -> u64 {
    let text = run.stderr.split("up to ").nth(1).unwrap();
    let mut words = text.split_whitespace();
    let number: f64 = words.next().unwrap().parse().unwrap();
    let unit = match words.next().unwrap() {
        "MB" => 1e6,
        "GB" => 1e9,
        other => panic!("{other}"),
    };
    (number * unit) as u64
}

#[cfg(target_os = "linux")]
#[test]
fn a_photo_takes_no_more_memory_than_is_said() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let large = photo(at, "large.jpg", (8000, 6000));
    let small = photo(at, "small.jpg", (90, 60));
    for command in [
        &["depth"][..],
        &["depth", "--save", "npy,pfm"],
        &["depth", "--side-by-side"],
        &["segment"],
        &["pca"],
        &["similar", "--at", "5,5"],
    ] {
        let run = |photo: &str| {
            let args = [
                command,
                &[photo, "--size", "56", "-v", "--force", "--threads", "2"],
            ]
            .concat();
            let (peak, run) = peak_of(at, &args);
            (peak, run.expect_code(0))
        };
        let (base, _) = run(&small);
        let (peak, said) = run(&large);
        let (own, most) = (peak.saturating_sub(base), promised(&said));
        assert!(own <= most + (16 << 20), "{command:?}: {own} of {most}");
        // Nor is it told to be far more than it is.
        assert!(most <= 3 * own, "{command:?}: {own} of {most}");
        // 48 megapixels of depth as floats would be 192 MB more.
        if command == ["depth"] {
            assert!(own < 48_000_000 * 9, "{own}");
        }
    }
}

#[test]
fn what_is_no_image_is_not_read_to_its_end() {
    let folder = tempdir().unwrap();
    let mut command = command(&["pca", "-", "-o", "out"]);
    command
        .current_dir(folder.path())
        .env("DINO_HOME", store_with_focus())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // As much as used to be taken in would take minutes here.
    let chunk = vec![b'y'; 1 << 20];
    let mut sent = 0u64;
    while std::io::Write::write_all(&mut stdin, &chunk).is_ok() {
        sent += 1;
        assert!(sent < 64, "it goes on reading");
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("<stdin>: is not an image"));
}

#[test]
fn each_model_has_a_peak_of_its_own() {
    let folder = tempdir().unwrap();
    let args = [
        "bench",
        "--models",
        "vitb14,dino-vits16",
        "--size",
        "56",
        "--runs",
        "1",
        "--json",
        "-",
    ];
    let run = dino_with_model(folder.path(), &args).expect_code(0);
    let rows: Vec<Value> = serde_json::from_slice(&run.stdout).unwrap();
    let peak = |row: usize| rows[row]["peak_rss_mb"].as_f64();
    // Where the system cannot forget a peak, the second says nothing rather than the first one's.
    match (peak(0), peak(1)) {
        (Some(large), Some(small)) => assert!(small < 0.6 * large, "{small} of {large}"),
        (_, none) => assert_eq!(none, None),
    }
}
