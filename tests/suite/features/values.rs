//! Stored features against those of transformers; pooling, projection and single pixels.

use std::fs;

use super::{rows, run};
use crate::goldens::{Golden, max_abs};
use crate::program::{folder_of, read};

#[test]
fn stored_features_are_those_of_transformers() {
    let folder = folder_of(&[("chelsea.png", "chelsea.png")]);
    let args = ["features", "chelsea.png", "-o", "f.npy", "--size", "native"];
    let layers = ["--blocks", "2,5,8,11", "--no-norm", "--dtype", "f32"];
    run(&folder, &[&args[..], &layers].concat()).expect_code(0);
    let row = &rows(&folder, "f.npy")[0];
    assert_eq!(
        (
            row.photo_size,
            row.grid.rows,
            row.grid.cols,
            row.key.as_str()
        ),
        ((451, 300), 22, 33, "chelsea")
    );
    assert_eq!(
        row.sha256,
        dino::model::weights::digest::sha256(&read(&folder, "chelsea.png"))
    );
    let golden = Golden::load("focus");
    let index = |name: &str| -> Vec<usize> {
        let numbers = golden.numbers(name);
        numbers.iter().map(|&at| at as usize).collect()
    };
    let (channels, positions) = (index("channels"), index("chelsea.tokens"));
    let tokens = row.grid.len();
    for (layer, block) in [2, 5, 8, 11].into_iter().enumerate() {
        let of_token =
            |token: &[f32]| -> Vec<f64> { channels.iter().map(|&c| f64::from(token[c])).collect() };
        let patches = positions
            .iter()
            .flat_map(|&at| of_token(&row.patches[(layer * tokens + at) * 384..][..384]));
        let expected = golden.numbers(&format!("chelsea.block{block}"));
        let difference = max_abs(&patches.collect::<Vec<_>>(), &expected);
        assert!(difference < 5e-4, "block {block}: {difference:e}");
    }
}

#[test]
fn tokens_are_pooled_projected_and_taken_at_pixels() {
    let folder = folder_of(&[("a.jpg", "room.jpg")]);
    let store = |name: &str, more: &[&str]| {
        let args = [
            "features", "a.jpg", "-o", name, "--size", "56", "--dtype", "f32",
        ];
        run(&folder, &[&args[..], more].concat()).expect_code(0);
        rows(&folder, name).remove(0)
    };
    let whole = store("whole.npy", &[]);
    let mean = |at: usize| {
        let tokens = whole
            .patches
            .chunks_exact(384)
            .map(|token| f64::from(token[at]));
        (tokens.sum::<f64>() / whole.grid.len() as f64) as f32
    };
    let pooled = store("pooled.npy", &["--pool", "1"]);
    assert_eq!(pooled.patches.len(), 384);
    assert!((0..384).all(|at| (pooled.patches[at] - mean(at)).abs() < 1e-5));
    let fit = [
        "pca",
        "a.jpg",
        "--size",
        "56",
        "--save-basis",
        "b.safetensors",
        "--raw",
    ];
    run(&folder, &fit).expect_code(0);
    let projected = store("basis.npy", &["--basis", "b.safetensors"]);
    let raw = read(&folder, "dino-out/a.pca.npy");
    let raw: Vec<f32> = raw[128..]
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    assert_eq!(projected.patches, raw);
    // The middle of the second patch of the second row, in pixels of a photo of 854 x 1280 that is seen at 56 x 84.
    let middle = |pixels: f32, seen: f32| (14.0 + 7.0) * pixels / seen - 0.5;
    let (x, y) = (middle(854.0, 56.0), middle(1280.0, 84.0));
    fs::write(
        folder.path().join("p.csv"),
        format!("photo,x,y\na.jpg,{x},{y}\n"),
    )
    .unwrap();
    let at = store("at.npy", &["--at", "p.csv"]);
    assert!(at.patches.is_empty() && at.cls.is_empty());
    assert_eq!(at.points.len(), 1);
    let token = &whole.patches[(whole.grid.cols + 1) * 384..][..384];
    let found = at.point_features.iter().zip(token);
    let worst = found.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-3, "{worst}");
    fs::write(folder.path().join("p.csv"), "x,y\n854,3\n").unwrap();
    let outside = [
        "features", "a.jpg", "-o", "out.npy", "--size", "56", "--at", "p.csv",
    ];
    run(&folder, &outside)
        .expect_code(1)
        .expect_stderr("854,3 lies outside");
}
