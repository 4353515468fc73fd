//! Models and heads that the user names are used, or the run fails; heads that nobody names follow the backbone.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{NOWHERE, answer, bare, command, home, used};
use crate::models::server::Server;
use crate::models::{fixtures, run};
use crate::official::seeded;
use crate::program::sample;

#[test]
fn who_named_something_gets_that() {
    let server = Server::start(|request, _| answer(request));
    let url = server.url();
    for more in [
        &["--head", "indoor"][..],
        &["--model", "vits14-focus"],
        &["--offline"],
    ] {
        let home = home();
        let run = run(&mut bare(home.path(), &url, "depth", more)).expect_code(0);
        assert_eq!(used(&run).0, "indoor", "{more:?}");
    }
    for (name, value) in [
        ("DINO_WEIGHTS", "focus"),
        ("DINO_HEAD_DEPTH", "indoor"),
        ("DINO_MODEL", "vits14-focus"),
        ("HF_HUB_OFFLINE", "1"),
    ] {
        let home = home();
        let mut command = bare(home.path(), &url, "depth", &[]);
        let run = run(command.env(name, value)).expect_code(0);
        assert_eq!(used(&run).0, "indoor", "{name}");
    }
    let home = home();
    run(&mut command(
        home.path(),
        &url,
        &["config", "depth", "indoor"],
    ))
    .expect_code(0);
    let run = run(&mut bare(home.path(), &url, "depth", &[])).expect_code(0);
    assert_eq!(used(&run).0, "indoor");
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn scripts_can_insist() {
    let home = home();
    let mut command = bare(home.path(), NOWHERE, "depth", &[]);
    run(command.env("DINO_WEIGHTS", "official"))
        .expect_code(1)
        .expect_stderr("DINO_WEIGHTS=official: ")
        .expect_stderr("cannot be reached");
    let mut command = bare(home.path(), NOWHERE, "depth", &["--offline"]);
    run(command.env("DINO_WEIGHTS", "official"))
        .expect_code(1)
        .expect_stderr("--offline forbids fetching it");
    let mut command = bare(home.path(), NOWHERE, "depth", &[]);
    run(command.env("DINO_WEIGHTS", "best"))
        .expect_code(2)
        .expect_stderr("DINO_WEIGHTS is `best`; expected official");
    // What is installed gives way to it.
    let server = Server::start(|request, _| answer(request));
    run(&mut self::command(home.path(), &server.url(), &["setup"])).expect_code(0);
    let mut command = bare(home.path(), NOWHERE, "depth", &[]);
    let focus = run(command.env("DINO_WEIGHTS", "focus")).expect_code(0);
    assert_eq!(used(&focus), ("indoor".into(), "vits14-focus".into()));
    let mut command = bare(home.path(), NOWHERE, "pca", &[]);
    let focus = run(command.env("DINO_WEIGHTS", "focus")).expect_code(0);
    assert_eq!(used(&focus).1, "vits14-focus");
}

#[test]
fn weights_of_unknown_origin_are_named_once() {
    let home = home();
    let server = Server::start(|request, _| answer(request));
    let import = |file: &str, more: &[&str]| {
        let args = [&["models", "import", file], more].concat();
        run(&mut command(home.path(), NOWHERE, &args))
    };
    let file = home.path().join("some.safetensors");
    let mut tensors = seeded::backbone("vits14");
    std::fs::write(&file, fixtures::safetensors(&tensors)).unwrap();
    let file = file.to_str().unwrap();
    import(file, &[]).expect_code(0);
    run(&mut command(
        home.path(),
        &server.url(),
        &["heads", "pull", "nyu-linear4", "--no-backbone"],
    ))
    .expect_code(0);
    run(&mut bare(home.path(), NOWHERE, "depth", &[]))
        .expect_code(0)
        .expect_stderr("nobody has compared them (said once)");
    let second = run(&mut bare(home.path(), NOWHERE, "depth", &[])).expect_code(0);
    assert!(!second.stderr.contains("compared"), "{}", second.stderr);

    // With a classifier in it, it is no published backbone.
    let of_head = candle_core::Tensor::zeros(
        (10, 384),
        candle_core::DType::F32,
        &candle_core::Device::Cpu,
    );
    tensors.insert("classifier.weight".into(), of_head.unwrap());
    let file = home.path().join("tuned.safetensors");
    std::fs::write(&file, fixtures::safetensors(&tensors)).unwrap();
    let file = file.to_str().unwrap();
    import(file, &[])
        .expect_code(2)
        .expect_stderr("holds more than a backbone: `classifier` too")
        .expect_stderr("--as NAME");
    import(file, &["--as", "tuned"]).expect_code(0);
}

/// A store with Meta's weights and the default ones, and the server that they came from.
fn home_with_both() -> (TempDir, Server) {
    let home = home();
    let server = Server::start(|request, _| answer(request));
    run(&mut command(home.path(), &server.url(), &["setup"])).expect_code(0);
    (home, server)
}

#[test]
fn heads_that_nobody_named_follow_the_backbone_that_is_named() {
    let (home, _server) = home_with_both();
    let of_focus = |command: &mut Command| {
        let done = run(command).expect_code(0);
        assert_eq!(used(&done), ("indoor".into(), "vits14-focus".into()));
    };
    let named = ["--model", "vits14-focus"];
    of_focus(&mut bare(home.path(), NOWHERE, "depth", &named));
    of_focus(bare(home.path(), NOWHERE, "depth", &[]).env("DINO_MODEL", "vits14-focus"));
    let photo = sample("room.jpg");
    let photo = photo.to_str().unwrap();
    let args = [
        "run",
        photo,
        "--depth=indoor",
        "--segment",
        "--json",
        "--force",
    ];
    let both = run(&mut command(home.path(), NOWHERE, &args)).expect_code(0);
    let heads: Vec<Value> = both
        .lines()
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["head"].clone())
        .collect();
    assert_eq!(heads, ["indoor", "everyday"]);
    // Of stored features, those that read them.
    let args = [
        "features",
        photo,
        "-o",
        "old.arrow",
        "--for",
        "indoor",
        "--size",
        "56",
    ];
    run(&mut command(home.path(), NOWHERE, &args)).expect_code(0);
    of_focus(&mut command(
        home.path(),
        NOWHERE,
        &[
            "depth",
            "--features",
            "old.arrow",
            "--size",
            "56",
            "--json",
            "--force",
        ],
    ));
}

#[test]
fn insisting_on_metas_weights_is_never_answered_by_others() {
    let (home, _server) = home_with_both();
    let insist = |args: &[&str]| {
        let mut command = bare(home.path(), NOWHERE, args[0], &args[1..]);
        run(command.env("DINO_WEIGHTS", "official"))
    };
    // What was set gives way.
    run(&mut command(
        home.path(),
        NOWHERE,
        &["config", "depth", "indoor"],
    ))
    .expect_code(0);
    assert_eq!(
        used(&insist(&["depth"]).expect_code(0)).0,
        "nyu-linear4-vits14"
    );
    run(&mut command(
        home.path(),
        NOWHERE,
        &["config", "depth", "--unset"],
    ))
    .expect_code(0);
    // A head that failed its check is no answer, and neither is what is inside the program.
    let config = home.path().join("config.json");
    std::fs::write(&config, r#"{"avoid": ["nyu-linear4-vits14"]}"#).unwrap();
    insist(&["depth"])
        .expect_code(1)
        .expect_stderr("none of Meta's heads for `dino depth` is to be had here");
    let avoided = run(&mut bare(home.path(), NOWHERE, "depth", &[])).expect_code(0);
    assert_eq!(used(&avoided).0, "indoor");
    std::fs::remove_file(&config).unwrap();
    // A damaged head is named, not passed over.
    let head = home.path().join("heads/nyu-linear4-vits14.safetensors");
    let bytes = std::fs::read(&head).unwrap();
    std::fs::write(&head, &bytes[..1000]).unwrap();
    for damaged in [
        insist(&["depth"]),
        run(&mut bare(home.path(), NOWHERE, "depth", &[])),
    ] {
        damaged
            .expect_code(1)
            .expect_stderr("nyu-linear4-vits14.safetensors")
            .expect_stderr("`dino heads rm nyu-linear4-vits14` removes it");
    }
    std::fs::write(&config, r#"{"heads": {"dpeth": "indoor"}}"#).unwrap();
    run(&mut bare(home.path(), NOWHERE, "segment", &[]))
        .expect_code(1)
        .expect_stderr("`dpeth` is no task");
}
