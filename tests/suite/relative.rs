//! Heads for relative inverse depth, which is not in metres: what is written, drawn and refused, with a made-up head on
//! the real backbone.

use std::path::Path;

use dino::model::head::RELATIVE_INVERSE_DEPTH;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::depth::{chunk, relative_head, save};
use crate::program::{Run, dino_with_model, files_below, sample};
use crate::results::{first_json, read_npy};

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    save(&relative_head(), &folder.path().join("head.safetensors"));
    std::fs::copy(sample("chelsea.png"), folder.path().join("cat.png")).unwrap();
    folder
}

fn depth(folder: &Path, args: &[&str]) -> Run {
    let head = ["depth", "cat.png", "--head", "head.safetensors", "--force"];
    dino_with_model(folder, &[&head, args].concat())
}

#[test]
fn every_file_and_line_says_that_it_is_no_metres() {
    let folder = folder();
    let path = |end: &str| folder.path().join(format!("dino-out/cat.depth.{end}"));
    let run = depth(
        folder.path(),
        &["--save", "npy,pfm,exr,tiff", "--at", "10,20", "--json"],
    )
    .expect_code(0);
    let report = first_json(&run);
    assert_eq!(report["unit"], RELATIVE_INVERSE_DEPTH);
    let (shape, values) = read_npy(path("npy"));
    assert_eq!(shape, [300, 451]);
    let at = report["at"][0]["depth"].as_f64().unwrap();
    assert!((at - f64::from(values[20 * 451 + 10])).abs() < 1e-3);
    let pfm = std::fs::read(path("pfm")).unwrap();
    let last = pfm.len() - 4 * 451 * 300;
    let bottom_up: Vec<f32> = pfm[last..]
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    assert_eq!(bottom_up[..451], values[299 * 451..]);
    assert_eq!(chunk(path("png"), "dino:unit"), RELATIVE_INVERSE_DEPTH);
    assert!(chunk(path("png"), "dino:content").contains("larger is nearer"));
    for end in ["exr", "tiff"] {
        let bytes = std::fs::read(path(end)).unwrap();
        let says = |text: &str| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        assert!(
            says(RELATIVE_INVERSE_DEPTH) && says("larger is nearer"),
            "{end}"
        );
    }
    let line = depth(folder.path(), &["--at", "10,20"]).expect_code(0);
    assert!(
        line.lines()[0].ends_with(RELATIVE_INVERSE_DEPTH),
        "{:?}",
        line.lines()
    );
}

#[test]
fn what_is_near_is_drawn_as_near() {
    let folder = folder();
    let args = ["--colormap", "gray", "--no-scale", "--save", "npy"];
    let drawn = |more: &[&str]| {
        depth(folder.path(), &[&args, more].concat()).expect_code(0);
        let picture = image::open(folder.path().join("dino-out/cat.depth.png")).unwrap();
        let (_, values) = read_npy(folder.path().join("dino-out/cat.depth.npy"));
        let greatest = (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]));
        let at = greatest.unwrap() as u32;
        picture.into_luma8().get_pixel(at % 451, at / 451).0[0]
    };
    let (near, inverted) = (drawn(&[]), drawn(&["--invert"]));
    assert!(near > 240 && inverted < 15, "{near} {inverted}");
    // By numbers that were given, and those of all photos.
    for range in ["1,3", "global"] {
        assert!(drawn(&["--range", range]) > 240, "{range}");
    }
}

#[test]
fn borders_are_fitted_where_nothing_is_near_too() {
    let folder = folder();
    let map = |more: &[&str]| {
        depth(folder.path(), &[&["--save", "npy"], more].concat()).expect_code(0);
        read_npy(folder.path().join("dino-out/cat.depth.npy")).1
    };
    let (plain, refined) = (map(&[]), map(&["--refine"]));
    let greatest = plain.iter().copied().fold(0.0, f32::max);
    assert!(plain.contains(&0.0), "something is infinitely far");
    let within = 0.0..=greatest * 1.001;
    assert!(refined.iter().all(|value| within.contains(value)));
    let apart: f32 = plain.iter().zip(&refined).map(|(a, b)| (a - b).abs()).sum();
    let mean = apart / plain.len() as f32;
    assert!(mean > 0.0 && mean < 0.1 * greatest, "{mean} of {greatest}");
}

#[test]
fn what_needs_metres_is_refused_or_made_by_scale_and_shift() {
    let folder = folder();
    for (args, words) in [
        (&["--save", "npy,png16"][..], "--save png16 is of metres"),
        (&["--pointcloud", "ply"], "--pointcloud is of metres"),
        (&["--pointcloud", "cloud.glb"], "--pointcloud is of metres"),
        (&["--range", "head"], "--range head"),
        (&["--shift", "0.1"], "--scale"),
        (&["--scale", "0"], "above 0"),
    ] {
        depth(folder.path(), args)
            .expect_code(2)
            .expect_stderr(words);
    }
    assert!(!folder.path().join("dino-out").exists());
    let (_, plain) = {
        depth(folder.path(), &["--save", "npy"]).expect_code(0);
        read_npy(folder.path().join("dino-out/cat.depth.npy"))
    };
    let args = [
        "--scale",
        "0.5",
        "--shift",
        "-0.25",
        "--save",
        "npy,png16",
        "--pointcloud",
        "ply",
        "--fov",
        "60",
        "--json",
    ];
    let run = depth(folder.path(), &args).expect_code(0);
    assert_eq!(first_json(&run)["unit"], "m");
    let (_, metres) = read_npy(folder.path().join("dino-out/cat.depth.npy"));
    for (value, metres) in plain.iter().zip(&metres) {
        let inverse = 0.5 * f64::from(*value) - 0.25;
        let expected = if inverse > 1e-3 {
            1.0 / inverse
        } else {
            1000.0
        };
        assert!((expected - f64::from(*metres)).abs() < 1e-5 * expected);
    }
    let far = metres.iter().filter(|&&metres| metres >= 1000.0).count();
    assert!(far > 0 && far < metres.len(), "{far}");
    run.expect_stderr(&format!("{far} of {} pixels are 1000 m away", metres.len()));
    let ply = std::fs::read(folder.path().join("dino-out/cat.depth.ply")).unwrap();
    let header = String::from_utf8_lossy(&ply[..600]).into_owned();
    assert!(
        header.contains(&format!("element vertex {}", metres.len() - far)),
        "{header}"
    );
    // It is another file than without, and of the same settings it is not made again.
    let again = ["depth", "cat.png", "--head", "head.safetensors"];
    let again = dino_with_model(folder.path(), &[&again, &args[..]].concat());
    assert_eq!(first_json(&again)["status"], json!("skipped"));
    let metric = ["depth", "cat.png", "--scale", "0.5", "-o", "other"];
    dino_with_model(folder.path(), &metric).expect_code(0);
    let shifted = [&metric[..], &["--shift", "0.1"]].concat();
    dino_with_model(folder.path(), &shifted)
        .expect_code(2)
        .expect_stderr("gives depths in m; leave it out");
}

#[test]
fn runs_of_several_tasks_have_the_same_rules() {
    let folder = folder();
    let args = |more: &'static [&'static str]| {
        let run = ["run", "cat.png", "--depth", "./head.safetensors", "--force"];
        dino_with_model(folder.path(), &[&run, more].concat())
    };
    args(&["--set", "depth.save=png16"])
        .expect_code(2)
        .expect_stderr("--save png16 is of metres");
    args(&[
        "--set",
        "depth.save=png16",
        "--set",
        "depth.scale=0.5",
        "--set",
        "depth.shift=0.1",
    ])
    .expect_code(0);
    let files = files_below(folder.path());
    assert!(
        files.iter().any(|file| file.ends_with("cat.depth.mm.png")),
        "{files:?}"
    );
}

#[test]
fn relative_depth_is_judged_after_alignment_alone() {
    let folder = folder();
    let set = folder.path().join("set");
    for part in ["images", "depth"] {
        std::fs::create_dir_all(set.join(part)).unwrap();
    }
    std::fs::copy(sample("chelsea.png"), set.join("images/cat.png")).unwrap();
    // The labels are what the head says, by a scale and a shift.
    depth(
        folder.path(),
        &["--save", "npy", "--scale", "0.2", "--shift", "0.1"],
    )
    .expect_code(0);
    std::fs::copy(
        folder.path().join("dino-out/cat.depth.npy"),
        set.join("depth/cat.npy"),
    )
    .unwrap();
    let eval = |args: &[&str]| {
        let own = ["eval", "depth", "set", "--head", "head.safetensors"];
        dino_with_model(folder.path(), &[&own, args].concat())
    };
    for args in [&[][..], &["--align", "median"]] {
        eval(args)
            .expect_code(2)
            .expect_stderr("relative inverse depth")
            .expect_stderr("--align scale-shift");
    }
    let run = eval(&["--align", "scale-shift", "--json", "-"]).expect_code(0);
    let figures: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(figures["rmse"].as_f64().unwrap() < 1e-3, "{figures}");
    assert!(figures["rmse_aligned"].is_null());
    assert!(
        figures["alignment"]
            .as_str()
            .unwrap()
            .contains("scale and shift")
    );
    // A head in metres may be brought to labels so too.
    let own = ["eval", "depth", "set", "--head", "indoor"];
    let run = |more: &[&str]| {
        let run = dino_with_model(folder.path(), &[&own[..], &["--json", "-"], more].concat());
        let figures: Value = serde_json::from_slice(&run.expect_code(0).stdout).unwrap();
        figures["abs_rel"].as_f64().unwrap()
    };
    assert!(run(&["--align", "scale-shift"]) < run(&[]));
}
