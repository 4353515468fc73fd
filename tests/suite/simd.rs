//! `DINO_SIMD`: every SIMD path of the CPU kernels that this machine supports; without it only the best one runs.

use std::path::Path;
use std::process::{Command, Stdio};

use dino::model::backbone::cpu::simd::Isa;

use crate::program::{Run, command, finish, sample, store_with_focus};

/// The golden tests that run the kernels of the backbone.
const GOLDENS: [&str; 3] = ["backbone_goldens", "attention_goldens", "real_features"];

fn names() -> Vec<&'static str> {
    Isa::available().into_iter().map(Isa::name).collect()
}

/// Runs the golden tests of this test program on each path.
#[test]
fn every_path_passes_the_goldens() {
    let own = std::env::current_exe().unwrap();
    for name in names() {
        let run = Command::new(&own)
            .args(GOLDENS)
            .env("DINO_SIMD", name)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{name}: {told}");
        // A filter that finds nothing is a success too.
        for golden in GOLDENS {
            let passed = told
                .lines()
                .any(|line| line.contains(golden) && line.ends_with("ok"));
            assert!(passed, "{name}, {golden}: {told}");
        }
    }
}

/// Runs `dino` in `folder` with the default backbone installed.
fn dino(folder: &Path, simd: &str, args: &[&str]) -> Run {
    let mut command = command(args);
    command
        .current_dir(folder)
        .env("DINO_HOME", store_with_focus())
        .env("DINO_SIMD", simd);
    finish(&mut command, b"")
}

fn depth(folder: &Path, simd: &str) -> Run {
    let photo = sample("room.jpg");
    let args = [
        "depth",
        photo.to_str().unwrap(),
        "--size",
        "182",
        "--save",
        "npy",
        "-o",
        "out",
    ];
    dino(folder, simd, &args)
}

/// Paths with fused multiply-add sum in the same order, so they give the same bytes; paths without it round more often.
#[test]
fn the_numbers_do_not_depend_on_the_processor() {
    let results = names().into_iter().map(|name| {
        let folder = tempfile::tempdir().unwrap();
        depth(folder.path(), name).expect_code(0);
        let read = |file: &str| std::fs::read(folder.path().join("out").join(file)).unwrap();
        (name, read("room.depth.npy"), read("room.depth.png"))
    });
    let results: Vec<_> = results.collect();
    let (best, best_metres, best_picture) = &results[0];
    for (name, metres, picture) in &results[1..] {
        if *name == "none" {
            let (one, other) = (floats(best_metres), floats(metres));
            let off = one.iter().zip(&other).map(|(a, b)| (a - b).abs() / a);
            let worst = off.fold(0f32, f32::max);
            assert!(worst < 1e-3 && worst > 0.0, "{worst}");
        } else {
            assert!(
                metres == best_metres && picture == best_picture,
                "{name}, {best}"
            );
        }
    }
}

/// The numbers of an npy file of `f32`.
fn floats(file: &[u8]) -> Vec<f32> {
    let header = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    let numbers = file[header..].as_chunks::<4>().0;
    numbers.iter().map(|&n| f32::from_le_bytes(n)).collect()
}

#[test]
fn a_path_that_is_not_there_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    depth(folder.path(), "avx1024")
        .expect_code(2)
        .expect_stderr("DINO_SIMD is `avx1024`; expected one of what this processor has: ")
        .expect_stderr(&names().join(", "));
    assert!(!folder.path().join("out").exists());
    // Empty is as good as not set.
    depth(folder.path(), "").expect_code(0);
}

#[test]
fn what_is_used_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = dino(folder.path(), "none", &["info", "--json"]).expect_code(0);
    let info: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(info["simd"], "none");
    let args = ["bench", "--size", "56", "--runs", "1", "--json", "-"];
    let run = dino(folder.path(), "none", &args).expect_code(0);
    let rows: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(rows[0]["simd"], "none");
}
