//! `dino cache`: the features that training stores are listed, limited in size and removed by name.

use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{Run, dino_with_model};
use crate::train::{ramps, train};

fn cache(at: &Path, args: &[&str]) -> Run {
    let place = ["--cache", "cache"];
    dino_with_model(
        at,
        &[&["cache"][..], &args[..1], &place, &args[1..]].concat(),
    )
}

/// The name and the number of photos of each cached set.
fn listed(at: &Path) -> Vec<(String, u64)> {
    let listed = cache(at, &["list", "--json"]).expect_code(0);
    let lines = listed.lines();
    let lines = lines.iter().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["bytes"].as_u64().unwrap() > 0 && line["last_used"].as_u64().unwrap() > 0);
        let name = line["name"].as_str().unwrap().to_owned();
        (name, line["photos"].as_u64().unwrap())
    });
    lines.collect()
}

#[test]
fn features_are_listed_by_set_bounded_by_training_and_removed_by_name() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    // The first photos are the same.
    ramps(&at.join("few"), 6);
    ramps(&at.join("more"), 8);
    let learn = |data: &str, more: &[&str]| {
        let head = format!("{data}.safetensors");
        let args = [&["--epochs", "1", "--force"][..], more].concat();
        train(at, "depth", data, &head, &args).expect_code(0)
    };
    assert!(listed(at).is_empty());
    learn("few", &[]);
    assert_eq!(listed(at), [("vits14-focus/few".to_owned(), 6)]);
    let said = learn("more", &[]);
    assert!(said.stderr.contains("features at size"), "{}", said.stderr);
    let both = [
        ("vits14-focus/few".to_owned(), 6),
        ("vits14-focus/more".to_owned(), 8),
    ];
    assert_eq!(listed(at), both);
    let said = cache(at, &["list"]).expect_code(0);
    assert!(said.lines()[1].contains("8 photos  last used within the hour"));

    // What a training uses stays, whatever the limit.
    let said = learn("few", &["--cache-limit", "0"]);
    said.expect_stderr("features of 2 photos that were longest not in use are removed")
        .expect_stderr("over --cache-limit");
    assert_eq!(listed(at)[1].1, 6);
    // It is still there: nothing is computed again.
    let said = learn("few", &["--cache-limit", "1G"]);
    assert!(!said.stderr.contains("features at size"), "{}", said.stderr);

    cache(at, &["rm", "vits14-focus/none"])
        .expect_code(2)
        .expect_stderr("no such features");
    cache(at, &["rm", "vits14-focus/more"])
        .expect_code(0)
        .expect_stderr("features of 0 photos removed");
    assert_eq!(listed(at), [("vits14-focus/few".to_owned(), 6)]);
    cache(at, &["prune", "--older-than", "1d"]).expect_code(0);
    assert_eq!(listed(at).len(), 1);
    cache(at, &["prune", "--to", "0"])
        .expect_code(0)
        .expect_stderr("features of 6 photos removed");
    assert!(listed(at).is_empty());
    cache(at, &["prune"]).expect_code(2);
}

#[test]
fn the_folder_of_features_is_named() {
    let folder = tempdir().unwrap();
    let info = dino_with_model(folder.path(), &["info", "--json"]).expect_code(0);
    let info: Value = serde_json::from_slice(&info.stdout).unwrap();
    let settings = info["settings"].as_array().unwrap();
    let cache = settings
        .iter()
        .find(|one| one["name"] == "train cache")
        .unwrap();
    let value = cache["value"].as_str().unwrap();
    assert!(
        value.contains("cache/features: ") && value.contains(" of up to "),
        "{value}"
    );
}
