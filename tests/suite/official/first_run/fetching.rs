//! Meta's weights are fetched by the first run and by `dino setup`, and kept.

use serde_json::Value;

use super::{BACKBONE, LABELS, NOWHERE, answer, bare, command, home, used};
use crate::models::server::{Reply, Server};
use crate::models::{out, run};
use crate::program::sample;

#[test]
fn metas_weights_come_with_their_sizes_and_licence_and_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|request, _| answer(request));
    let url = server.url();
    let first = run(&mut bare(home.path(), &url, "depth", &[]))
        .expect_code(0)
        .expect_stderr("fetching Meta's nyu-linear4-vits14 (")
        .expect_stderr("and vits14 (89 MB)")
        .expect_stderr("licence Apache-2.0");
    assert_eq!(used(&first), ("nyu-linear4-vits14".into(), "vits14".into()));
    // Asked for sizes, and fetched.
    assert_eq!(server.requests().len(), 4);
    let again = run(&mut bare(home.path(), &url, "depth", &[])).expect_code(0);
    assert!(!again.stderr.contains("fetching"), "{}", again.stderr);
    assert_eq!(server.requests().len(), 4);
    // Another task gets its head alone, PCA nothing.
    let labels = run(&mut bare(home.path(), &url, "segment", &["--no-refine"])).expect_code(0);
    assert_eq!(used(&labels).0, "ade20k-linear-vits14");
    assert_eq!(server.requests().len(), 6);
    let pca = run(&mut bare(home.path(), NOWHERE, "pca", &[])).expect_code(0);
    assert_eq!(used(&pca).1, "vits14");
    assert!(!pca.stderr.contains("fetch"), "{}", pca.stderr);
}

#[test]
fn pca_needs_a_backbone_alone() {
    let home = home();
    let server = Server::start(|request, _| answer(request));
    let focus = bare(home.path(), NOWHERE, "pca", &[])
        .env("DINO_WEIGHTS", "focus")
        .env("DINO_MODEL", "")
        .output()
        .unwrap();
    assert!(focus.status.success());
    let pca = run(&mut bare(home.path(), &server.url(), "pca", &[]))
        .expect_code(0)
        .expect_stderr("backbone now vits14 (was vits14-focus)");
    assert_eq!(used(&pca).1, "vits14");
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.path == BACKBONE));
}

#[test]
fn tasks_of_one_run_share_a_backbone() {
    let home = home();
    // The depth head is there, that of labels cannot be had.
    let server = Server::start(|request, _| match request.path.as_str() {
        LABELS => Reply::status(404),
        _ => answer(request),
    });
    let url = server.url();
    run(&mut bare(home.path(), &url, "depth", &[])).expect_code(0);
    let photo = sample("room.jpg");
    let args = [
        "run",
        photo.to_str().unwrap(),
        "--depth",
        "--segment",
        "--set",
        "depth.size=56",
        "--set",
        "segment.size=56",
        "--json",
        "--force",
    ];
    let both = run(&mut command(home.path(), &url, &args))
        .expect_code(0)
        .expect_stderr("Meta's weights could not be fetched (")
        .expect_stderr(
            "read different backbones, and one pass serves all tasks: indoor and everyday are used",
        );
    assert_eq!(both.lines().len(), 2);
    for line in both.lines() {
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["model"], "vits14-focus");
    }
}

#[test]
fn setup_fetches_a_set_and_config_tells_and_sets_what_is_used() {
    let home = home();
    let server = Server::start(|request, _| answer(request));
    let url = server.url();
    let shown = run(&mut command(home.path(), NOWHERE, &["setup", "--show"])).expect_code(0);
    assert!(out(&shown).contains("depth     indoor on vits14-focus: inside the program"));
    let done = run(&mut command(home.path(), &url, &["setup"]))
        .expect_code(0)
        .expect_stderr("fetching nyu-linear4-vits14 and ade20k-linear-vits14 and vits14 (");
    let said = out(&done);
    for text in [
        "depth     nyu-linear4-vits14 on vits14: the best that is installed",
        "segment   ade20k-linear-vits14 on vits14",
        "model     vits14: the first of the table that is installed",
        "Apache-2.0",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let again = run(&mut command(home.path(), NOWHERE, &["setup"])).expect_code(0);
    assert!(again.stderr.contains("Meta's set for vits14 is installed"));
    run(&mut command(
        home.path(),
        &url,
        &["setup", "--model", "vits14-reg"],
    ))
    .expect_code(2)
    .expect_stderr("vits14, vitb14, vitl14, vitg14");

    let set = run(&mut command(
        home.path(),
        &url,
        &["config", "depth", "indoor"],
    ))
    .expect_code(0);
    assert!(out(&set).starts_with("depth     indoor on vits14-focus: set"));
    let file = home.path().join("config.json");
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["heads"]["depth"], "indoor");
    let json = run(&mut command(home.path(), &url, &["config", "--json"])).expect_code(0);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["depth"]["head"], "indoor");
    assert_eq!(json["segment"]["license"], "Apache-2.0");
    run(&mut command(
        home.path(),
        &url,
        &["config", "depth", "--unset"],
    ))
    .expect_code(0);
    run(&mut command(
        home.path(),
        &url,
        &["config", "model", "vits14-focus"],
    ))
    .expect_code(0);
    let json = run(&mut command(home.path(), &url, &["info", "--json"])).expect_code(0);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["defaults"]["depth"]["head"], "nyu-linear4-vits14");
    assert_eq!(json["defaults"]["model"]["backbone"], "vits14-focus");
    for (args, why) in [
        (["config", "depth", "everyday"], "is for `dino segment`"),
        (["config", "model", "vitx14"], "vitx14"),
        (
            ["config", "depth", "nothing"],
            "there is no head called nothing",
        ),
    ] {
        let refused = run(&mut command(home.path(), &url, &args));
        assert!(
            refused.code() != 0 && refused.stderr.contains(why),
            "{}",
            refused.stderr
        );
    }
}
