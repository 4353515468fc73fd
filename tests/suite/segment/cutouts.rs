//! Cutouts of classes, against the ids that `dino segment` writes itself.

use serde_json::Value;

use super::{NAMES, folder_with_head, ids, list, number, segment};
use crate::program::sample;
use crate::results::{as_text, first_json, open_picture};

#[test]
fn a_cutout_is_the_photo_where_its_classes_are() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    let original = open_picture(&photo);
    let run = |out: &str, more: &[&str]| {
        let args = [as_text(&photo), "-o", out, "--save", "cutout,npy", "--json"];
        let run = segment(folder.path(), &[&args[..], more].concat()).expect_code(0);
        let file = |end: &str| {
            folder
                .path()
                .join(out)
                .join(format!("chelsea.segment.{end}"))
        };
        let cutout = image::open(file("cutout.png")).unwrap();
        assert_eq!(cutout.color(), image::ColorType::Rgba8);
        (
            first_json(&run),
            cutout.into_rgba8(),
            ids(file("ids.npy")),
            run,
        )
    };
    let (report, whole, (map, width), said) = run("all", &[]);
    assert!(
        said.stderr.contains("its cutout is the whole photo"),
        "{}",
        said.stderr
    );
    assert!(
        whole
            .pixels()
            .zip(original.pixels())
            .all(|(a, b)| a.0[..3] == b.0 && a.0[3] == 255)
    );
    assert_eq!(report["cutout_box"], serde_json::json!([0, 0, 451, 300]));
    // The second largest class: the largest may touch all sides.
    let class = &list(&report["classes"])[1];
    let (id, name) = (number(&class["id"]) as u8, class["name"].as_str().unwrap());
    let (report, cutout, _, said) = run("one", &["--classes", name]);
    assert!(!said.stderr.contains("cutout"), "{}", said.stderr);
    assert_eq!(cutout.dimensions(), (451, 300));
    for ((pixel, below), &other) in cutout.pixels().zip(original.pixels()).zip(&map) {
        let [r, g, b] = below.0;
        let expected = if other == id { [r, g, b, 255] } else { [0; 4] };
        assert_eq!(pixel.0, expected);
    }
    let places = || map.iter().enumerate().filter(|(_, other)| **other == id);
    let (left, right) = places().fold((width, 0), |(l, r), (i, _)| {
        (l.min(i % width), r.max(i % width + 1))
    });
    let (top, bottom) = places().fold((width, 0), |(t, b), (i, _)| {
        (t.min(i / width), b.max(i / width + 1))
    });
    let bounds = serde_json::json!([left, top, right - left, bottom - top]);
    assert_eq!(report["cutout_box"], bounds);
    let (report, cropped, _, _) = run("crop", &["--classes", name, "--crop"]);
    assert_eq!(report["cutout_box"], bounds);
    let part = image::imageops::crop_imm(
        &cutout,
        left as u32,
        top as u32,
        (right - left) as u32,
        (bottom - top) as u32,
    );
    assert_eq!(cropped, part.to_image());
}

#[test]
fn a_cutout_of_nothing_is_said() {
    let folder = folder_with_head();
    let dot = folder.path().join("dot.png");
    image::RgbImage::from_pixel(1, 1, image::Rgb([90, 120, 50]))
        .save(dot)
        .unwrap();
    let args = ["dot.png", "--json", "--save", "cutout", "--crop"];
    let report = first_json(&segment(folder.path(), &args).expect_code(0));
    let there = report["classes"][0]["name"].as_str().unwrap();
    let other = NAMES.iter().find(|name| **name != there).unwrap();
    let run = segment(
        folder.path(),
        &[&args[..], &["--classes", other, "-o", "none"]].concat(),
    );
    let run = run.expect_code(0);
    assert_eq!(first_json(&run)["cutout_box"], Value::Null);
    run.expect_stderr(&format!(
        "dot.png: nothing of {other} in it, so its cutout is transparent all over and not cropped"
    ));
    let cutout = image::open(folder.path().join("none/dot.segment.cutout.png")).unwrap();
    assert_eq!(cutout.into_rgba8().into_raw(), [0; 4]);
}
