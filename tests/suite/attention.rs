//! `dino attention` on real photos with the real backbone.

use std::path::Path;

use dino::vision::render::Colormap;
use image::RgbImage;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::program::{Run, dino_with_model, files_below, sample};
use crate::results::{as_text, open_picture, read_npy};

fn attention(folder: &Path, args: &[&str]) -> Run {
    dino_with_model(folder, &[&["attention", "--size", "112"], args].concat())
}

#[test]
fn pictures_numbers_and_report_agree() {
    let folder = tempdir().unwrap();
    let photo = sample("chelsea.png");
    let args = [
        as_text(&photo),
        "--raw",
        "--heads",
        "--json",
        "--no-scale",
        "--upscale",
        "nearest",
    ];
    let run = attention(folder.path(), &args).expect_code(0);
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["picture"], "dino-out/chelsea.attention.png");
    assert_eq!(
        report["files"]["heads.png"],
        "dino-out/chelsea.attention.heads.png"
    );
    assert_eq!(report["layer"], 11);
    assert_eq!(report["grid"], json!([8, 12]));
    let (shape, weights) = read_npy(folder.path().join("dino-out/chelsea.attention.npy"));
    assert_eq!(shape, [6, 8, 12]);
    let heads = report["heads"].as_array().unwrap();
    assert_eq!(heads.len(), 6);
    let part = |head: &Value, name: &str| head[name].as_f64().unwrap();
    for (head, weights) in heads.iter().zip(weights.chunks_exact(96)) {
        let sum: f64 = weights.iter().map(|&w| f64::from(w)).sum();
        assert!((sum - part(head, "patches")).abs() < 1e-6);
        let all = sum + part(head, "cls") + part(head, "registers");
        assert!((all - 1.0).abs() < 1e-5, "{all}");
    }
    // The mean's brightest patch has the last colour of the map, and the colours begin at 0.
    let mean: Vec<f32> = (0..96)
        .map(|patch| weights.iter().skip(patch).step_by(96).sum::<f32>())
        .collect();
    let found = open_picture(folder.path().join("dino-out/chelsea.attention.png"));
    assert_eq!(found.dimensions(), (451, 300));
    let rank = |way: fn(&f32, &f32) -> std::cmp::Ordering| {
        (0..96).max_by(|&a, &b| way(&mean[a], &mean[b])).unwrap()
    };
    let (most, least) = (rank(f32::total_cmp), rank(|a, b| b.total_cmp(a)));
    let middle = |patch: usize| {
        let place = |cell: usize, pad: f64, scale: f64| ((cell as f64 + 0.5) * 14.0 - pad) / scale;
        let input = report["input_size"].as_array().unwrap()[0]
            .as_f64()
            .unwrap();
        let scale = 112.0_f64 / 300.0;
        let pad = ((input - (451.0 * scale).round()) / 2.0).floor();
        (
            place(patch % 12, pad, scale) as u32,
            place(patch / 12, 0.0, scale) as u32,
        )
    };
    let at = |patch| {
        let (x, y) = middle(patch);
        found.get_pixel(x, y).0
    };
    assert_eq!(at(most), [240, 249, 33]);
    let even = 1.0 / 97.0;
    assert!((part(&report, "even_share") - even).abs() < 1e-9);
    let (high, low) = (
        report["range"][1].as_f64().unwrap(),
        f64::from(mean[least]) / 6.0 / even,
    );
    let expected = Colormap::default().at((low / high) as f32).0;
    let off = at(least)
        .into_iter()
        .zip(expected)
        .map(|(a, b)| a.abs_diff(b));
    assert!(off.max() <= Some(1), "{:?} for {expected:?}", at(least));
    let sheet = open_picture(folder.path().join("dino-out/chelsea.attention.heads.png"));
    assert!(
        sheet.width() > 2 * 451 && sheet.height() > 2 * 300,
        "{:?}",
        sheet.dimensions()
    );
}

#[test]
fn layers_differ_and_batches_change_nothing() {
    let folder = tempdir().unwrap();
    let photos = [
        sample("chelsea.png"),
        sample("coffee.png"),
        sample("astronaut.png"),
    ];
    let names: Vec<&str> = photos.iter().map(|path| as_text(path)).collect();
    let run = |args: &[&str]| {
        let run = attention(folder.path(), &[&names, args].concat()).expect_code(0);
        run.lines().len()
    };
    assert_eq!(run(&["--raw", "-o", "one"]), 6);
    run(&["--raw", "-o", "batch", "--batch-size", "3"]);
    run(&["--raw", "-o", "first", "--layer", "0"]);
    run(&["--raw", "-o", "last", "--layer", "-1"]);
    let of = |run: &str| read_npy(folder.path().join(run).join("coffee.attention.npy")).1;
    assert_eq!(of("one"), of("last"));
    let off = |a: &[f32], b: &[f32]| {
        let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        off.fold(0f32, f32::max)
    };
    assert!(off(&of("one"), &of("batch")) < 1e-6);
    assert!(off(&of("one"), &of("first")) > 1e-3);
    let run = attention(
        folder.path(),
        &[&names, &["--raw", "-o", "one"][..]].concat(),
    );
    run.expect_code(0).expect_stderr("3 already there, skipped");
}

#[test]
fn bad_photos_and_wrong_blocks_are_told() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("bad.png"), b"\x89PNG\r\n\x1a\nno").unwrap();
    let photo = sample("chelsea.png");
    let run = attention(
        folder.path(),
        &["bad.png", as_text(&photo), "--overlay", "0.5"],
    );
    let run = run.expect_code(1).expect_stderr("bad.png");
    assert_eq!(run.lines(), ["dino-out/chelsea.attention.png"]);
    assert_eq!(files_below(&folder.path().join("dino-out")).len(), 1);
    attention(
        folder.path(),
        &[as_text(&photo), "--layer", "12", "-o", "x"],
    )
    .expect_code(2)
    .expect_stderr("blocks 0 to 11");
    let pipe = [as_text(&photo), "--raw", "-o", "-"];
    attention(folder.path(), &pipe)
        .expect_code(2)
        .expect_stderr("one picture");
}

#[test]
fn odd_sizes_work() {
    let folder = tempdir().unwrap();
    for (width, height) in [(1, 1), (600, 20)] {
        let name = format!("{width}x{height}.png");
        RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 99]))
            .save(folder.path().join(&name))
            .unwrap();
        let args = [&name, "--size", "56", "--heads", "--side-by-side"];
        let run = attention(folder.path(), &args).expect_code(0);
        let found = open_picture(folder.path().join(&run.lines()[0]));
        assert!(found.width() > 2 * width && found.height() >= height);
    }
}
