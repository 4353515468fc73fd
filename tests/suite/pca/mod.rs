//! `dino pca` on real photos with the real backbone.

mod fits;
mod pictures;

use std::path::Path;

use crate::program::{Run, dino_with_model};

/// Runs `dino pca` in `folder` on small inputs.
fn pca(folder: &Path, args: &[&str]) -> Run {
    dino_with_model(folder, &[&["pca", "--size", "112"], args].concat())
}
