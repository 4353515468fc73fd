//! The first run of a command without options, with the publisher's host on this machine: reachable, unreachable, slow,
//! or with wrong files.

mod choice;
mod fallback;
mod fetching;

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tempfile::TempDir;

use super::seeded;
use crate::models::server::{Reply, Request};
use crate::models::{dino, fixtures};
use crate::program::{Run, sample, store_with_focus};

/// The path of the ViT-S/14 backbone on the publisher's host.
const BACKBONE: &str = "/dinov2_vits14/dinov2_vits14_pretrain.pth";
/// The path of the head for depth indoors.
const DEPTH: &str = "/dinov2_vits14/dinov2_vits14_nyu_linear4_head.pth";
/// The path of the head for the classes of ADE20K.
const LABELS: &str = "/dinov2_vits14/dinov2_vits14_ade20k_linear_head.pth";
/// An address at which no server listens.
const NOWHERE: &str = "http://127.0.0.1:9";

/// The path of a file on the host, and its bytes.
type Published = (&'static str, Arc<Vec<u8>>);

/// The file of the publisher at this path.
fn published(path: &str) -> Option<Arc<Vec<u8>>> {
    static FILES: OnceLock<[Published; 3]> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let safetensors = |tensors| Arc::new(fixtures::safetensors(&tensors));
        [
            (BACKBONE, safetensors(seeded::backbone("vits14"))),
            (DEPTH, safetensors(seeded::linear_depth(4 * 768))),
            (LABELS, safetensors(seeded::segmenter(384, 150))),
        ]
    });
    let file = files.iter().find(|(other, _)| *other == path);
    file.map(|(_, file)| Arc::clone(file))
}

/// The answer of the publisher's host: one of its files, or 404.
fn answer(request: &Request) -> Reply {
    match published(&request.path) {
        Some(file) => Reply::file(request, &file).with("ETag", "\"1\""),
        None => Reply::status(404),
    }
}

/// A store with the default backbone, as a first run without a connection leaves it.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let models = home.path().join("models");
    std::fs::create_dir(&models).unwrap();
    for file in ["vits14-focus.safetensors", "vits14-focus.json"] {
        std::fs::copy(
            store_with_focus().join("models").join(file),
            models.join(file),
        )
        .unwrap();
    }
    home
}

/// `dino` with the store `home` and the publisher at `host`, not run yet.
fn command(home: &Path, host: &str, args: &[&str]) -> Command {
    let mut command = dino(home);
    command
        .current_dir(home)
        .args(args)
        .env("DINO_HEADS_URL", host);
    command
}

/// A command without model or head on one small photo, with JSON on stdout.
fn bare(home: &Path, host: &str, task: &str, more: &[&str]) -> Command {
    let photo = sample("room.jpg");
    let photo = photo.to_str().unwrap();
    let args = [&[task, photo, "--size", "56", "--json", "--force"], more].concat();
    command(home, host, &args)
}

/// The head and the model that a run used, by its JSON.
fn used(run: &Run) -> (Value, Value) {
    let line: Value = serde_json::from_slice(&run.stdout).unwrap();
    (line["head"].clone(), line["model"].clone())
}

/// Expects that a run used the built-in head because of `why`.
#[track_caller]
fn falls_back(run: Run, why: &str) {
    let run = run
        .expect_code(0)
        .expect_stderr("Meta's weights could not be fetched (")
        .expect_stderr(why)
        .expect_stderr("going on with vits14-focus and the heads inside this program")
        .expect_stderr("`dino setup` tries again");
    assert_eq!(used(&run), ("indoor".into(), "vits14-focus".into()));
}
