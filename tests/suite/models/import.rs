//! `dino models import` of every kind of file, ordinary and hostile.

use std::fs;
use std::path::Path;

use dino::model::weights::digest;

use super::fixtures::{self, NAME};
use super::{dino, left_behind, models, record};
use crate::program::finish;

/// Imports `bytes` into a new store; returns the exit code and stderr.
fn import(bytes: &[u8], args: &[&str]) -> (i32, String) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, bytes).unwrap();
    let done = models(
        home.path(),
        [&["import", file.to_str().unwrap()], args].concat(),
    );
    if done.code() != 0 {
        assert_eq!(left_behind(home.path()), [""; 0], "{}", done.stderr);
    }
    (done.code(), done.stderr)
}

#[test]
fn one_model_in_four_kinds_of_file_is_one_model() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("saved by transformers");
    fs::create_dir(&folder).unwrap();
    fs::write(
        folder.join("model.safetensors"),
        fixtures::safetensors(&fixtures::transformers()),
    )
    .unwrap();
    let torch = home.path().join("checkpoint.safetensors"); // names say nothing
    fs::write(&torch, fixtures::torch_file(fixtures::canonical(), b"")).unwrap();

    let done = models(home.path(), ["import".as_ref(), folder.as_os_str()]);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let first = record(home.path(), NAME);
    assert_eq!(
        first["fingerprint"],
        digest::fingerprint(fixtures::canonical())
    );
    assert_eq!(
        (&first["variant"], &first["license"]),
        (&NAME.into(), &"unknown".into())
    );
    // The same weights from another file are recognised, other names can hold them too.
    let done = models(home.path(), ["import".as_ref(), torch.as_os_str()]);
    assert!(
        done.code() == 0 && done.stderr.contains("was installed before"),
        "{}",
        done.stderr
    );
    let pipe = fixtures::safetensors(fixtures::canonical());
    let done = finish(
        dino(home.path()).args(["models", "import", "-", "--as", "piped"]),
        &pipe,
    );
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let piped = record(home.path(), "piped");
    assert_eq!(
        (&piped["fingerprint"], &piped["sha256"]),
        (&first["fingerprint"], &first["sha256"])
    );
    assert_eq!(piped["source"], "stdin");

    // A taken name is not taken over.
    let mut other = fixtures::canonical().clone();
    other.insert("norm.bias".into(), (&other["norm.bias"] * 0.5).unwrap());
    let other_file = home.path().join("other");
    fs::write(&other_file, fixtures::safetensors(&other)).unwrap();
    let done = models(home.path(), ["import".as_ref(), other_file.as_os_str()]);
    assert_eq!(done.code(), 1);
    assert!(
        done.stderr
            .contains("already installed, with other weights"),
        "{}",
        done.stderr
    );
    // Nor a name that promises another shape.
    let done = models(
        home.path(),
        [
            "import".as_ref(),
            other_file.as_os_str(),
            "--as".as_ref(),
            "vitb14".as_ref(),
        ],
    );
    assert_eq!(done.code(), 1);
    assert!(
        done.stderr
            .contains("these weights are `dino-vits16`, they cannot be called `vitb14`"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_pickle_that_would_run_something_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("it ran");
    let attack = fixtures::attack(&marker);
    let few = fixtures::canonical()
        .iter()
        .take(2)
        .map(|(name, tensor)| (name.clone(), tensor.clone()))
        .collect();
    let beside_weights = fixtures::torch_file(&few, &attack);
    let bare = [b"\x80\x02".as_slice(), &attack[6..], b"."].concat();
    let alone = fixtures::zip_file([("archive/data.pkl".to_owned(), bare.clone())]);
    for bytes in [beside_weights, alone] {
        let (code, said) = import(&bytes, &[]);
        assert_eq!(code, 1);
        assert!(
            said.contains("asks for `os.system`") && said.contains("nothing of it was run"),
            "{said}"
        );
    }
    let (code, said) = import(&bare, &[]);
    assert!(
        code == 1 && said.contains("is a bare pickle, which is not read"),
        "{said}"
    );
    assert!(!marker.exists());
}

#[test]
fn broken_files_are_one_sentence_each() {
    let whole = fixtures::safetensors(
        &fixtures::canonical()
            .iter()
            .take(3)
            .map(|(n, t)| (n.clone(), t.clone()))
            .collect(),
    );
    let torch = fixtures::torch_file(
        &fixtures::canonical()
            .iter()
            .take(3)
            .map(|(n, t)| (n.clone(), t.clone()))
            .collect(),
        b"",
    );
    let lie = [1_000_000_000u64.to_le_bytes().as_slice(), b"{\"a\":1}"].concat();
    let short_storage = {
        let mut tensors = fixtures::canonical().clone();
        tensors.retain(|name, _| name == "norm.bias");
        let bytes = fixtures::torch_file(&tensors, b"");
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let mut pickle = Vec::new();
        std::io::Read::read_to_end(&mut zip.by_name("archive/data.pkl").unwrap(), &mut pickle)
            .unwrap();
        fixtures::zip_file([
            ("archive/data.pkl".into(), pickle),
            ("archive/data/0".into(), vec![0; 10]),
        ])
    };
    for (bytes, expected) in [
        (&whole[..whole.len() - 1], "where its header promises"),
        (&whole[..], "no known backbone has width"),
        (
            &lie[..],
            "claims a header of 1000000000 bytes in a file of 15",
        ),
        (&torch[..torch.len() / 2], "is a cut or damaged zip file"),
        (
            &short_storage[..],
            "`backbone.norm.bias`: [384] does not fit its 10 stored bytes",
        ),
        (b"", "is empty"),
        (
            b"hello, these are no weights",
            "is of an unknown kind; expected weights as .safetensors",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "is a Git LFS pointer",
        ),
        (b"\x08\x07\x12\x07pytorch", "expected an ONNX export"),
        (
            &fixtures::zip_file([("a.txt".to_owned(), vec![1])]),
            "is a zip file without weights",
        ),
    ] {
        let (code, said) = import(bytes, &[]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(expected), "expected {expected:?}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
}

#[test]
fn wrong_names_are_wrong_usage() {
    for name in [
        "",
        "../up",
        "a/b",
        ".hidden",
        "Big",
        "-x",
        "a b",
        &"a".repeat(65),
    ] {
        let (code, said) = import(
            &fixtures::safetensors(fixtures::canonical()),
            &[&format!("--as={name}")],
        );
        assert!(
            code == 2 && said.contains("cannot name a model"),
            "{name}: {said}"
        );
    }
}

#[test]
fn folders_without_weights_and_shards_outside_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let refused = |folder: &Path, expected: &str| {
        let done = models(home.path(), ["import".as_ref(), folder.as_os_str()]);
        assert!(
            done.code() == 1 && done.stderr.contains(expected),
            "{}",
            done.stderr
        );
    };
    refused(
        home.path(),
        "has no weights; expected model.safetensors or pytorch_model.bin in it",
    );
    let index = r#"{"weight_map": {"cls_token": "../../etc/passwd"}}"#;
    fs::write(home.path().join("model.safetensors.index.json"), index).unwrap();
    refused(
        home.path(),
        "names the shard `../../etc/passwd`; expected a file beside it",
    );
    refused(&home.path().join("nowhere"), "no such file or directory");
}
