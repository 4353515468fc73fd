//! Which photos the components are fitted to, batches, saved bases, and the projections that are reported.

use std::path::PathBuf;

use image::RgbImage;
use serde_json::Value;
use tempfile::tempdir;

use super::pca;
use crate::program::{dino_with_model, sample};
use crate::results::{as_text, json_lines, open_picture, read_npy};

#[test]
fn components_are_fitted_to_the_photo_on_request() {
    let folder = tempdir().unwrap();
    let photo = sample("coffee.png");
    let original = open_picture(&photo);
    // How much of the picture's change lies where the photo changes most.
    let follows = |out: &str, more: &[&str]| {
        let run = pca(
            folder.path(),
            &[&[as_text(&photo), "-o", out, "--json"], more].concat(),
        );
        let report = json_lines(&run.expect_code(0)).remove(0);
        let found = open_picture(folder.path().join(out).join("coffee.pca.png"));
        assert_eq!(found.dimensions(), original.dimensions());
        let change = |of: &RgbImage, x: u32, y: u32| -> u64 {
            let (a, b) = (of.get_pixel(x - 1, y), of.get_pixel(x + 1, y));
            (0..3).map(|c| u64::from(a[c].abs_diff(b[c]))).sum()
        };
        let (mut on_edges, mut all) = (0, 0);
        for (x, y) in
            (0..original.height()).flat_map(|y| (1..original.width() - 1).map(move |x| (x, y)))
        {
            let own = change(&found, x, y);
            all += own;
            if change(&original, x, y) > 120 {
                on_edges += own;
            }
        }
        (on_edges as f64 / all as f64, report)
    };
    let (plain, report) = follows("plain", &[]);
    assert_eq!(report["refined"], false);
    let (fitted, report) = follows("fitted", &["--refine"]);
    assert_eq!(report["refined"], true);
    assert!(fitted > 1.1 * plain, "{fitted} against {plain}");
    // Whole patches: nothing is padded.
    let (rows, cols) = (&report["grid"][0], &report["grid"][1]);
    let side = |of: &Value| of.as_u64().unwrap() * 14;
    assert_eq!(
        report["input_size"],
        serde_json::json!([side(cols), side(rows)])
    );
    pca(
        folder.path(),
        &[as_text(&photo), "--refine", "--upscale", "nearest"],
    )
    .expect_code(2)
    .expect_stderr("--upscale");
}

#[test]
fn the_report_and_the_projections_agree() {
    let folder = tempdir().unwrap();
    let run = pca(
        folder.path(),
        &[
            as_text(&sample("coffee.png")),
            "--raw",
            "--json",
            "--components",
            "1,2,4",
        ],
    );
    let report = json_lines(&run.expect_code(0)).remove(0);
    let (shape, values) = read_npy(folder.path().join("dino-out/coffee.pca.npy"));
    let grid: Vec<u64> = report["grid"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_u64().unwrap())
        .collect();
    assert_eq!(shape, [grid[0], grid[1], 3]);
    // Projections of the fitted set have mean zero and the reported variances, which fall.
    let n = (grid[0] * grid[1]) as f64;
    let variances: Vec<f64> = report["variance"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect();
    for (column, expected) in variances.iter().enumerate() {
        let column: Vec<f64> = values
            .iter()
            .skip(column)
            .step_by(3)
            .map(|&v| f64::from(v))
            .collect();
        let mean = column.iter().sum::<f64>() / n;
        let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        assert!(mean.abs() < 1e-3 * variance.sqrt(), "mean {mean}");
        assert!(
            (variance / expected - 1.0).abs() < 1e-4,
            "{variance} for {expected}"
        );
    }
    assert!(variances.is_sorted_by(|a, b| a > b));
    assert_eq!(report["components"], serde_json::json!([1, 2, 4]));
    assert_eq!(report["model"], "vits14-focus");
    assert_eq!(report["photo_size"], serde_json::json!([600, 400]));
}

#[test]
fn one_fit_over_many_gives_one_colour_one_meaning() {
    let folder = tempdir().unwrap();
    let (a, b) = (sample("chelsea.png"), sample("coffee.png"));
    pca(
        folder.path(),
        &[
            as_text(&a),
            as_text(&b),
            "-o",
            "all",
            "--save-basis",
            "basis.safetensors",
        ],
    )
    .expect_code(0);
    pca(folder.path(), &[as_text(&a), "-o", "one"]).expect_code(0);
    pca(
        folder.path(),
        &[as_text(&a), as_text(&b), "-o", "each", "--fit", "each"],
    )
    .expect_code(0);
    pca(
        folder.path(),
        &[as_text(&a), "-o", "again", "--basis", "basis.safetensors"],
    )
    .expect_code(0);
    let of = |run: &str| open_picture(folder.path().join(run).join("chelsea.pca.png"));
    assert_eq!(
        of("again"),
        of("all"),
        "a saved basis gives the colours of its fit"
    );
    assert_eq!(
        of("each"),
        of("one"),
        "--fit each is the fit of a photo alone"
    );
    assert_ne!(of("all"), of("one"), "a joint fit knows the other photo");
}

#[test]
fn batches_change_nothing() {
    let folder = tempdir().unwrap();
    let files: Vec<PathBuf> = ["chelsea.png", "coffee.png", "astronaut.png"]
        .map(sample)
        .into();
    let args: Vec<&str> = files
        .iter()
        .map(|f| as_text(f))
        .chain(["--size", "112x84", "--raw"])
        .collect();
    let run = |out: &str, batch: &str| {
        let run = dino_with_model(
            folder.path(),
            &[&["pca"], &args[..], &["-o", out, "--batch-size", batch]].concat(),
        );
        run.expect_code(0);
        read_npy(folder.path().join(out).join("coffee.pca.npy")).1
    };
    let (one, three) = (run("one", "1"), run("three", "3"));
    let worst = one
        .iter()
        .zip(&three)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn a_basis_refuses_what_it_does_not_fit() {
    let folder = tempdir().unwrap();
    let photo = sample("chelsea.png");
    std::fs::write(folder.path().join("junk"), b"not a basis").unwrap();
    pca(folder.path(), &[as_text(&photo), "--basis", "junk"])
        .expect_code(1)
        .expect_stderr("--save-basis");
    pca(folder.path(), &[as_text(&photo), "--basis", "none"])
        .expect_code(1)
        .expect_stderr("none");
    pca(
        folder.path(),
        &[
            as_text(&photo),
            "--save-basis",
            "b.safetensors",
            "--layer",
            "3",
        ],
    )
    .expect_code(0);
    pca(
        folder.path(),
        &[as_text(&photo), "--save-basis", "b.safetensors"],
    )
    .expect_code(2)
    .expect_stderr("--force");
    // The same file with another model's fingerprint.
    let mut bytes = std::fs::read(folder.path().join("b.safetensors")).unwrap();
    let at = bytes.windows(11).position(|w| w == b"fingerprint").unwrap() + 16;
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    std::fs::write(folder.path().join("other.safetensors"), bytes).unwrap();
    let run = pca(
        folder.path(),
        &[as_text(&photo), "--basis", "other.safetensors", "-o", "x"],
    );
    run.expect_code(1)
        .expect_stderr("was fitted with vits14-focus");
}
