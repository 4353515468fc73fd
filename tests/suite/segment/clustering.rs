//! `dino segment --clusters`: the same colours for the same things, the number of clusters, borders fitted to the
//! photo, and wrong options.

use serde_json::Value;
use tempfile::tempdir;

use super::{clusters, folder_with_head, list, number, small};
use crate::program::sample;
use crate::results::{as_text, first_json, open_picture};

#[test]
fn borders_are_fitted_to_the_photo_on_request() {
    let folder = tempdir().unwrap();
    let photo = sample("coffee.png");
    let original = open_picture(&photo);
    // How much the photo changes across the borders of the map.
    let contrast = |out: &str, more: &[&str]| {
        let args = [as_text(&photo), "-o", out, "--mask-only", "--no-legend"];
        let args = [&args[..], &["--clusters", "3"], more].concat();
        clusters(folder.path(), &args).expect_code(0);
        let map = open_picture(folder.path().join(out));
        let (mut sum, mut count) = (0u64, 0u64);
        for (x, y, color) in map.enumerate_pixels().filter(|(x, ..)| *x > 0) {
            if map.get_pixel(x - 1, y) != color {
                let (a, b) = (original.get_pixel(x - 1, y), original.get_pixel(x, y));
                sum += (0..3).map(|c| u64::from(a[c].abs_diff(b[c]))).sum::<u64>();
                count += 1;
            }
        }
        sum as f64 / count as f64
    };
    let plain = contrast("plain.png", &["--no-refine"]);
    let fitted = contrast("fitted.png", &["--no-refine", "--refine"]);
    assert!(fitted > 2.0 * plain, "{fitted} against {plain}");
}

#[test]
fn clusters_need_no_head_and_keep_their_meaning() {
    let folder = tempdir().unwrap();
    let (a, b) = (sample("chelsea.png"), sample("coffee.png"));
    let mask = ["--mask-only", "--no-legend"];
    let run = |out: &str, more: &[&str]| {
        clusters(folder.path(), &[&["-o", out], &mask[..], more].concat())
    };
    let book = ["--clusters", "5", "--save-codebook", "book.safetensors"];
    run("all", &[&[as_text(&a), as_text(&b)], &book[..]].concat()).expect_code(0);
    run("again", &[as_text(&a), "--codebook", "book.safetensors"]).expect_code(0);
    run("same", &[as_text(&a), as_text(&b), "--clusters", "5"]).expect_code(0);
    run("one", &[as_text(&a), "--clusters", "5"]).expect_code(0);
    let of = |run: &str| open_picture(folder.path().join(run).join("chelsea.clusters.png"));
    assert_eq!(
        of("again"),
        of("all"),
        "a saved codebook gives the clusters of its fit"
    );
    assert_eq!(
        of("same"),
        of("all"),
        "clusters don't change from run to run"
    );
    assert_ne!(of("one"), of("all"), "a joint fit knows the other photo");
    let eye_and_wall = [
        of("all").get_pixel(165, 125).0,
        of("all").get_pixel(430, 250).0,
    ];
    assert_ne!(eye_and_wall[0], eye_and_wall[1]);
    run("x", &[&[as_text(&a)], &book[..]].concat())
        .expect_code(2)
        .expect_stderr("--force");
    let kept = ["--codebook", "book.safetensors", "--classes", "9"];
    run("x", &[&[as_text(&a)], &kept[..]].concat())
        .expect_code(2)
        .expect_stderr("no class `9`");
}

#[test]
fn auto_chooses_a_number_and_says_it() {
    let folder = tempdir().unwrap();
    let run = clusters(
        folder.path(),
        &[
            as_text(&sample("coffee.png")),
            "--clusters",
            "auto",
            "--json",
        ],
    )
    .expect_code(0);
    let report = first_json(&run);
    let k: usize = report["clusters"].as_str().unwrap().parse().unwrap();
    assert!((3..=12).contains(&k));
    let shown = report["classes"].as_array().unwrap().len();
    assert!((2..=k).contains(&shown), "{shown} of {k}");
    run.expect_stderr(&format!("{k} clusters"));
}

#[test]
fn wrong_wishes_are_explained() {
    let folder = folder_with_head();
    let photo = sample("chelsea.png");
    std::fs::write(folder.path().join("junk"), b"no codebook").unwrap();
    for (args, code, words) in [
        (&["--clusters", "1"][..], 2, "from 2 to"),
        (&["--clusters", "4", "--head", "x"], 2, "--head"),
        (&["--clusters", "4", "--tta", "flip"], 2, "--tta"),
        (&["--save-codebook", "x"], 2, "--clusters"),
        (&["--alpha", "2"], 2, "0 to 1"),
        (&["--alpha", "0.5", "--mask-only"], 2, "--mask-only"),
        (&["--save", "gif"], 2, "ids"),
        (&["--codebook", "junk"], 1, "--save-codebook"),
        (
            &["--clusters", "4", "-o", "-", "--save", "ids"],
            2,
            "stdout",
        ),
    ] {
        clusters(folder.path(), &[&[as_text(&photo)], args].concat())
            .expect_code(code)
            .expect_stderr(words);
    }
    assert!(!folder.path().join("dino-out").exists());
}

#[test]
fn clusters_have_all_files_of_classes() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    small("chelsea.png", &at("in/x/f.png"));
    small("coffee.png", &at("in/y/f.png"));
    let args = [
        "-r",
        "in",
        "--clusters",
        "3",
        "--save",
        "cutout,npy",
        "--coco",
        "run.json",
        "--instances",
        "regions",
        "--coco-polygons",
    ];
    let book = ["--save-codebook", "book.safetensors"];
    clusters(folder.path(), &[&args[..], &book].concat()).expect_code(0);
    let bytes = std::fs::read(at("run.json")).unwrap();
    let run: Value = serde_json::from_slice(&bytes).unwrap();
    let categories: Vec<(u64, &str)> = list(&run["categories"])
        .iter()
        .map(|c| (number(&c["id"]), c["name"].as_str().unwrap()))
        .collect();
    assert_eq!(categories, [(1, "1"), (2, "2"), (3, "3")]);
    let area: u64 = list(&run["annotations"])
        .iter()
        .map(|a| number(&a["area"]))
        .sum();
    assert_eq!(area, 2 * 96 * 72);
    assert_eq!(
        open_picture(at("dino-out/y/f.clusters.cutout.png")).dimensions(),
        (96, 72)
    );
    // Taken up again, with the fit or with the saved clusters.
    for how in [
        &["--clusters", "3"][..],
        &["--codebook", "book.safetensors"],
    ] {
        std::fs::remove_file(at("run.json")).unwrap();
        let args = [&args[..2], how, &args[4..]].concat();
        let again = clusters(folder.path(), &args).expect_code(0);
        assert_eq!(again.lines().last().unwrap(), "run.json");
        // By the saved clusters it is another recipe, though it gives the same.
        assert_eq!(again.lines().len() > 1, how[0] == "--codebook");
        assert!(std::fs::read(at("run.json")).unwrap() == bytes, "{how:?}");
        assert_eq!(
            clusters(folder.path(), &args).expect_code(0).lines(),
            [""; 0]
        );
    }
}
