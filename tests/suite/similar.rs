//! `dino similar` on real photos with the real backbone.

use std::path::Path;

use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::program::{Run, dino_with_model, files_below, sample};
use crate::results::{as_text, json_lines, open_picture, read_npy};

fn similar(folder: &Path, args: &[&str]) -> Run {
    dino_with_model(folder, &[&["similar", "--size", "224"], args].concat())
}

/// A pixel in the cat's eye that is on the left of the photo.
const EYE: (u32, u32) = (172, 112);

#[test]
fn the_same_part_is_found_elsewhere() {
    let folder = tempdir().unwrap();
    let photo = sample("chelsea.png");
    let mut moved = RgbImage::from_pixel(451, 300, Rgb([90; 3]));
    // The left part of the photo, further right and lower.
    let cut = image::imageops::crop_imm(&open_picture(&photo), 0, 0, 300, 250).to_image();
    image::imageops::overlay(&mut moved, &cut, 120, 45);
    moved.save(folder.path().join("moved.png")).unwrap();
    let at = format!("{},{}", EYE.0, EYE.1);
    let args = [as_text(&photo), "moved.png", "--at", &at, "--raw", "--json"];
    let run = similar(folder.path(), &args).expect_code(0);
    let [own, other] = &json_lines(&run)[..] else {
        panic!("{:?}", run.lines())
    };
    let number = |value: &Value| value.as_f64().unwrap();
    assert!((number(&own["best"]["cosine"]) - 1.0).abs() < 1e-5);
    assert_eq!(own["best"]["patch"], own["query"]["patch"]);
    assert_eq!(own["files"]["npy"], "dino-out/chelsea.similar-172-112.npy");
    let off = (number(&other["best"]["x"]) - 292.0).hypot(number(&other["best"]["y"]) - 157.0);
    assert!(off < 30.0, "{off} pixels off: {other}");
    assert_eq!(other["query"]["input"], as_text(&photo));
    for report in [own, other] {
        let (shape, cosines) =
            read_npy(folder.path().join(report["files"]["npy"].as_str().unwrap()));
        assert_eq!(json!(shape), report["grid"]);
        assert!(cosines.iter().all(|c| (-1.0..=1.0).contains(c)));
        let patch = &report["best"]["patch"];
        let best = patch[0].as_u64().unwrap() * shape[1] + patch[1].as_u64().unwrap();
        let highest = cosines.iter().copied().fold(-1.0, f32::max);
        assert_eq!(cosines[best as usize], highest);
        assert!((f64::from(highest) - number(&report["best"]["cosine"])).abs() < 1e-6);
    }
}

#[test]
fn the_point_is_marked_and_another_point_has_other_files() {
    let folder = tempdir().unwrap();
    let photo = sample("chelsea.png");
    let run = |at: &str| {
        let args = [as_text(&photo), "--at", at, "--no-scale", "--side-by-side"];
        similar(folder.path(), &args).expect_code(0).lines()
    };
    assert_eq!(run("172,112"), ["dino-out/chelsea.similar-172-112.png"]);
    assert_eq!(run("0,299"), ["dino-out/chelsea.similar-0-299.png"]);
    assert!(run("172,112").is_empty(), "it is there");
    let found = open_picture(folder.path().join("dino-out/chelsea.similar-172-112.png"));
    assert_eq!(found.dimensions(), (902, 300));
    // A ring of a fortieth of the short side around the point, in both halves; its middle is left alone.
    for left in [0, 451] {
        let white = [(8, 0), (0, 8)].map(|(dx, dy)| {
            let at = (left + EYE.0 + dx, EYE.1 + dy);
            found
                .get_pixel(at.0, at.1)
                .0
                .iter()
                .all(|&level| level > 200)
        });
        assert_eq!(white, [true; 2]);
    }
    assert_eq!(
        found.get_pixel(EYE.0, EYE.1),
        open_picture(&photo).get_pixel(EYE.0, EYE.1)
    );
    assert_eq!(files_below(&folder.path().join("dino-out")).len(), 2);
}

#[test]
fn a_point_outside_is_told_before_any_work() {
    let folder = tempdir().unwrap();
    let photo = sample("chelsea.png");
    for at in ["451,0", "0,300", "4000000000,1"] {
        let args = [as_text(&photo), "--at", at, "--model", "nobodys"];
        similar(folder.path(), &args)
            .expect_code(1)
            .expect_stderr("451 x 300");
    }
    similar(folder.path(), &[as_text(&photo)])
        .expect_code(2)
        .expect_stderr("--at");
    for (range, at) in [("0.5", "1,1"), ("0,1", "1.5,2"), ("1,0", "1,1")] {
        similar(
            folder.path(),
            &[as_text(&photo), "--at", at, "--range", range],
        )
        .expect_code(2);
    }
    // A point of another photo would be an answer to another question.
    let args = ["missing.jpg", as_text(&photo), "--at", "1,1"];
    similar(folder.path(), &args)
        .expect_code(1)
        .expect_stderr("missing.jpg");
    std::fs::write(folder.path().join("bad.png"), b"\x89PNG\r\n\x1a\nno").unwrap();
    similar(folder.path(), &["bad.png", as_text(&photo), "--at", "1,1"])
        .expect_code(1)
        .expect_stderr("bad.png");
    assert!(!folder.path().join("dino-out").exists());
    // A bad one among the others stops nothing.
    let args = [as_text(&photo), "bad.png", "--at", "1,1"];
    let run = similar(folder.path(), &args).expect_code(1);
    assert_eq!(run.lines(), ["dino-out/chelsea.similar-1-1.png"]);
}
