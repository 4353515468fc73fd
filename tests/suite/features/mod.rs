//! `dino features`, and heads and PCA bases on the features that it stored.

mod datasets;
mod reading;
mod values;

use dino::io::features::{Dataset, FeatureRow};
use tempfile::TempDir;

use crate::program::{Run, dino_with_model};

/// Runs `dino` in `folder` with the real backbone.
fn run(folder: &TempDir, args: &[&str]) -> Run {
    dino_with_model(folder.path(), args)
}

/// All rows of a data set of features, sorted by key.
fn rows(folder: &TempDir, name: &str) -> Vec<FeatureRow> {
    let dataset = Dataset::open(&folder.path().join(name)).unwrap();
    let mut rows: Vec<FeatureRow> = (0..dataset.len())
        .map(|index| dataset.read(index).unwrap())
        .collect();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}
