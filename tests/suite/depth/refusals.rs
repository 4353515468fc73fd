//! Broken photos, wrong options and heads that do not fit are refused; indoor metres on outdoor photos give a warning.

use dino::model::head::{Class, HeadTask};
use serde_json::Value;
use tempfile::tempdir;

use super::{depth, depth_head, folder_with_head, head, save};
use crate::program::{dino_with_model, sample};
use crate::results::as_text;

#[test]
fn a_bad_photo_does_not_stop_the_others() {
    let folder = folder_with_head();
    let photos = folder.path().join("photos");
    std::fs::create_dir(&photos).unwrap();
    std::fs::write(photos.join("bad.jpg"), b"\xff\xd8\xff\xe0 no photo").unwrap();
    std::fs::copy(sample("chelsea.png"), photos.join("good.png")).unwrap();
    for range in ["auto", "global"] {
        let args = ["photos", "--range", range, "-o", range];
        let run = depth(folder.path(), &args).expect_code(1);
        assert_eq!(run.lines(), [format!("{range}/good.depth.png")]);
        run.expect_stderr("bad.jpg")
            .expect_stderr("1 of 2 inputs failed");
    }
    let run = depth(folder.path(), &["photos", "-o", "auto"]).expect_code(1);
    assert!(run.lines().is_empty());
    run.expect_stderr("1 already there, skipped");
}

#[test]
fn wrong_wishes_are_explained() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    for (args, words) in [
        (&["--range", "4,1"][..], "two rising numbers"),
        (&["--range", "wide"], "auto, global, head"),
        (&["--at", "10"], "320,240"),
        (&["--colormap", "jet"], "turbo"),
        (&["--save", "csv"], "png16"),
        (&["--fov", "65"], "--pointcloud"),
        (&["--pointcloud", "x.obj"], ".ply or .glb"),
        (&["--axes", "opengl"], "--pointcloud"),
        (&["--pointcloud", "x.glb", "--axes", "opencv"], "y up"),
        (&["--pointcloud", "--max-points", "0"], "100000"),
        (&["--pointcloud", "--drop-edges", "5"], "0.02 for 2 %"),
        (&["--overlay", "0.5", "--side-by-side"], "--overlay"),
        (&["-o", "-", "--at", "1,1"], "stdout"),
    ] {
        depth(folder.path(), &[&[as_text(&photo)], args].concat())
            .expect_code(2)
            .expect_stderr(words);
    }
    depth(folder.path(), &[as_text(&photo), "--head", "nobodys"])
        .expect_code(1)
        .expect_stderr("nobodys");
    let other = sample("coffee.png");
    let two = [as_text(&photo), as_text(&other), "--pointcloud", "x.ply"];
    depth(folder.path(), &two)
        .expect_code(2)
        .expect_stderr("room for one");
    assert!(!folder.path().join("dino-out").exists());
}

#[test]
fn heads_that_do_not_fit_are_refused() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let run = |name: &str| {
        let args = ["depth", as_text(&photo), "--head", name];
        dino_with_model(folder.path(), &args)
    };
    let mut other = depth_head(0.2);
    other.meta.fingerprint = "0".repeat(64);
    save(&other, &folder.path().join("other.safetensors"));
    run("other.safetensors")
        .expect_code(1)
        .expect_stderr("`dino models pull vits14-focus`");
    let class = |name: &str| Class {
        name: name.into(),
        color: [0; 3],
    };
    let classes = vec![class("sky"), class("road")];
    let segment = head(
        HeadTask::Segment { classes },
        vec![0.0; 4 * 384],
        vec![0.0; 2],
    );
    save(&segment, &folder.path().join("segment.safetensors"));
    run("segment.safetensors")
        .expect_code(2)
        .expect_stderr("is for `dino segment`");
    std::fs::write(folder.path().join("junk.safetensors"), b"junk").unwrap();
    run("junk.safetensors")
        .expect_code(1)
        .expect_stderr("dino train");
}

#[test]
fn metres_of_rooms_are_doubted_out_of_doors() {
    let folder = tempdir().unwrap();
    for name in ["mountains.jpg", "room.jpg"] {
        std::fs::copy(sample(name), folder.path().join(name)).unwrap();
    }
    let run = |args: &[&str]| {
        let own = [
            "depth",
            "mountains.jpg",
            "room.jpg",
            "--head",
            "indoor",
            "--json",
            "--force",
        ];
        dino_with_model(folder.path(), &[&own, args].concat()).expect_code(0)
    };
    for args in [&[][..], &["--range", "global"]] {
        let told = run(args).expect_stderr("mountains.jpg: seems to be out of doors");
        assert!(!told.stderr.contains("room.jpg: seems"), "{}", told.stderr);
        let room = |line: usize| -> f64 {
            let line: Value = serde_json::from_str(&told.lines()[line]).unwrap();
            line["room"].as_f64().unwrap()
        };
        assert!(room(0) < 0.1 && room(1) > 0.9, "{} {}", room(0), room(1));
    }
}
