//! `dino models` as a user runs it: imports, pulls from a hub on this machine, and what can go wrong with them.

pub mod fixtures;
mod focus;
mod import;
mod offline;
mod proxies;
mod pull;
pub mod server;
mod settings;
mod store;
mod transfer;
mod unwritable;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use crate::program::{self, Run, finish};

/// The program with the store `home`, without the user's Hugging Face and proxy settings, not run yet.
pub fn dino(home: &Path) -> Command {
    let mut command = program::command::<OsString>(&[]);
    let set = std::env::vars_os().map(|(name, _)| name);
    let theirs = |name: &OsString| {
        let name = name.to_string_lossy().to_ascii_uppercase();
        let known = ["HF_", "HUGGING", "TRANSFORMERS_"];
        known.iter().any(|start| name.starts_with(start)) || name.ends_with("_PROXY")
    };
    for name in set.filter(theirs) {
        command.env_remove(name);
    }
    command
        .env_remove("DINO_HTTP_TIMEOUT")
        .env_remove("DINO_HEADS_URL")
        .env_remove("DINO_WEIGHTS")
        .env("DINO_HOME", home)
        .env("HF_HOME", home.join("no-hf-cache"));
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Run {
    finish(command, b"")
}

/// Runs `dino models` with the store `home`.
fn models<S: AsRef<OsStr>>(home: &Path, args: impl IntoIterator<Item = S>) -> Run {
    run(dino(home).arg("models").args(args))
}

/// The text on stdout.
pub fn out(run: &Run) -> String {
    String::from_utf8(run.stdout.clone()).unwrap()
}

/// The record of an installed model, or null.
fn record(home: &Path, name: &str) -> serde_json::Value {
    let text = std::fs::read(home.join("models").join(format!("{name}.json")));
    text.map_or(serde_json::Value::Null, |text| {
        serde_json::from_slice(&text).unwrap()
    })
}

/// The files in the store, without lock files.
fn left_behind(home: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(home.join("models"))
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.retain(|name| !name.starts_with(".lock-"));
    names.sort();
    names
}
