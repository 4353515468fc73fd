//! Offline runs open no socket and start no package client, whatever the command and however offline is set.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fixtures::{self, NAME};
use super::server::{Reply, Server};
use super::{dino, run};
use crate::program::sample;

/// A hub, a proxy and clients in PATH that record when they are used; offline runs must not use them.
struct Trap {
    server: Server,
    folder: tempfile::TempDir,
}

impl Trap {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        #[cfg(unix)]
        for name in ["pip", "pip3", "python3", "uv"] {
            use std::os::unix::fs::PermissionsExt;
            let path = folder.path().join(name);
            let mark = folder.path().join("mark");
            fs::write(
                &path,
                format!("#!/bin/sh\necho {name} >> '{}'\n", mark.display()),
            )
            .unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Trap {
            server: Server::start(|_, _| Reply::status(404)),
            folder,
        }
    }

    /// The command with an empty store, in which every connection leads to the trap.
    fn command(&self, home: &Path, args: &[&str]) -> Command {
        let mut command = dino(home);
        command.args(args).env("PATH", self.folder.path());
        for name in [
            "HF_ENDPOINT",
            "DINO_HEADS_URL",
            "http_proxy",
            "HTTPS_PROXY",
            "ALL_PROXY",
        ] {
            command.env(name, self.server.url());
        }
        command
            .env("DINO_HTTP_TIMEOUT", "2")
            .env("PIP_INDEX_URL", self.server.url());
        command
    }

    #[track_caller]
    fn expect_untouched(&self, what: &[&str]) {
        assert!(
            self.server.requests().is_empty(),
            "{what:?} opened a socket"
        );
        let mark = fs::read_to_string(self.folder.path().join("mark"));
        assert!(mark.is_err(), "{what:?} started {mark:?}");
    }
}

/// Every command that may fetch something.
fn commands(folder: &Path) -> Vec<Vec<String>> {
    let photo = sample("room.jpg");
    let data = folder.join("data");
    for name in ["images", "labels"] {
        fs::create_dir_all(data.join(name)).unwrap();
    }
    for index in 0..6 {
        fs::copy(&photo, data.join(format!("images/{index}.jpg"))).unwrap();
        let (width, height) = image::image_dimensions(&photo).unwrap();
        let label =
            image::GrayImage::from_fn(width, height, |x, _| image::Luma([u8::from(x > 20)]));
        label
            .save(data.join(format!("labels/{index}.png")))
            .unwrap();
    }
    fs::write(data.join("classes.json"), r#"["a", "b"]"#).unwrap();
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let (photo, data, out) = (text(photo), text(data), text(folder.join("out")));
    let words = |line: &str| -> Vec<String> {
        let named = |word: &str| match word {
            "PHOTO" => photo.clone(),
            "DATA" => data.clone(),
            "OUT" => out.clone(),
            "HEAD" => format!("{out}/head.safetensors"),
            word => word.to_owned(),
        };
        line.split(' ').map(named).collect()
    };
    [
        "depth PHOTO -o OUT",
        "segment PHOTO -o OUT",
        "pca PHOTO -o OUT",
        "train segment DATA -o HEAD",
        "eval segment DATA --head everyday",
        "models pull vits14-focus",
        "models pull dino-vits16",
        "heads pull nyu-linear-vits14",
        "heads pull facebook/dpt-dinov2-small-nyu",
    ]
    .map(words)
    .into()
}

#[test]
fn no_command_opens_a_socket_or_starts_a_client() {
    let folder = tempfile::tempdir().unwrap();
    let trap = Trap::new();
    for (index, words) in commands(folder.path()).iter().enumerate() {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        let home = folder.path().join(format!("home-{index}"));
        // Who says it takes turns, so that each is said to several commands.
        let by = ["--offline", "HF_HUB_OFFLINE=YES", "TRANSFORMERS_OFFLINE=1"][index % 3];
        if by == "--offline" {
            words.push(by);
        }
        let mut command = trap.command(&home, &words);
        if let Some((name, value)) = by.split_once('=') {
            command.env(name, value);
        }
        let done = run(&mut command);
        assert_eq!(done.code(), 1, "{words:?}: {}", done.stderr);
        assert!(
            done.stderr.contains(&format!("{by} forbids fetching it; ")),
            "{words:?}: {}",
            done.stderr
        );
        assert!(
            done.stderr.contains(" while online, "),
            "{words:?}: {}",
            done.stderr
        );
        trap.expect_untouched(&words);
    }
}

/// Without `--offline` the same commands use the trap, so the trap works.
#[cfg(unix)]
#[test]
fn online_the_same_commands_go_out() {
    let folder = tempfile::tempdir().unwrap();
    for (words, hub) in [
        (&["models", "pull", "vits14-focus"][..], false),
        (&["models", "pull", NAME], true),
        (
            &["heads", "pull", "nyu-linear-vits14", "--no-backbone"],
            true,
        ),
    ] {
        let trap = Trap::new();
        // An empty value, and one that is no yes, say nothing.
        let mut command = trap.command(&folder.path().join(words[2]), words);
        let done = run(command
            .env("HF_HUB_OFFLINE", "")
            .env("TRANSFORMERS_OFFLINE", "0"));
        assert_eq!(done.code(), 1, "{}", done.stderr);
        assert_eq!(
            !trap.server.requests().is_empty(),
            hub,
            "{words:?}: {}",
            done.stderr
        );
        assert_eq!(trap.folder.path().join("mark").exists(), !hub, "{words:?}");
    }
}

#[test]
fn what_others_have_cached_is_installed_offline() {
    let folder = tempfile::tempdir().unwrap();
    let trap = Trap::new();
    let repo = folder.path().join("cache/models--facebook--dino-vits16");
    fs::create_dir_all(repo.join("snapshots/abc")).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), "abc").unwrap();
    let body = fixtures::safetensors(fixtures::canonical());
    fs::write(repo.join("snapshots/abc/model.safetensors"), body).unwrap();
    let mut command = trap.command(
        &folder.path().join("home"),
        &["models", "pull", NAME, "--offline"],
    );
    let done = run(command.env("HF_HUB_CACHE", folder.path().join("cache")));
    assert_eq!(done.code(), 0, "{}", done.stderr);
    trap.expect_untouched(&["models", "pull"]);
}
