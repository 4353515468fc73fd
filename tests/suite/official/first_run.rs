//! The first run of a bare command, with a publisher on this machine: there, away, slow, and wrong in every way.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::seeded::{self, torch_file};
use crate::models::server::{Reply, Request, Server};
use crate::models::{dino, fixtures, out, run};
use crate::program::{Run, sample, store_with_focus};

const BACKBONE: &str = "/dinov2_vits14/dinov2_vits14_pretrain.pth";
const DEPTH: &str = "/dinov2_vits14/dinov2_vits14_nyu_linear4_head.pth";
const LABELS: &str = "/dinov2_vits14/dinov2_vits14_ade20k_linear_head.pth";
/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Where a file lies on the host, and what is in it.
type Published = (&'static str, Arc<Vec<u8>>);

/// A file of the publisher's.
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

fn answer(request: &Request) -> Reply {
    match published(&request.path) {
        Some(file) => Reply::file(request, &file).with("ETag", "\"1\""),
        None => Reply::status(404),
    }
}

/// A store with the default backbone, as it is after a first run without a connection.
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

fn command(home: &Path, host: &str, args: &[&str]) -> Command {
    let mut command = dino(home);
    command
        .current_dir(home)
        .args(args)
        .env("DINO_HEADS_URL", host);
    command
}

/// A bare command on one small photo, with JSON on stdout.
fn bare(home: &Path, host: &str, task: &str, more: &[&str]) -> Command {
    let photo = sample("room.jpg");
    let photo = photo.to_str().unwrap();
    let args = [&[task, photo, "--size", "56", "--json", "--force"], more].concat();
    command(home, host, &args)
}

fn used(run: &Run) -> (Value, Value) {
    let line: Value = serde_json::from_slice(&run.stdout).unwrap();
    (line["head"].clone(), line["model"].clone())
}

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
fn without_a_connection_nothing_is_lost_and_a_day_is_waited() {
    let home = home();
    falls_back(
        run(&mut bare(home.path(), NOWHERE, "depth", &[])),
        "127.0.0.1 cannot be reached",
    );
    // The second run does not even try: here of a host that answers, as if that had failed.
    let server = Server::start(|request, _| answer(request));
    let file = home.path().join("first-run.json");
    let mut memory: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(memory["failed"]["host"], NOWHERE);
    memory["failed"]["host"] = server.url().into();
    std::fs::write(&file, memory.to_string()).unwrap();
    let second = run(&mut bare(home.path(), &server.url(), "depth", &[])).expect_code(0);
    assert_eq!(used(&second).0, "indoor");
    assert!(!second.stderr.contains("Meta"), "{}", second.stderr);
    assert_eq!(server.requests().len(), 0);
    // A day later it does, and says that the head is another.
    let at = memory["failed"]["at"].as_u64().unwrap();
    memory["failed"]["at"] = (at - 24 * 60 * 60 - 1).into();
    std::fs::write(&file, memory.to_string()).unwrap();
    let third = run(&mut bare(home.path(), &server.url(), "depth", &[]))
        .expect_code(0)
        .expect_stderr("depth now by nyu-linear4-vits14 (was indoor)");
    assert_eq!(used(&third).0, "nyu-linear4-vits14");
    let fourth = run(&mut bare(home.path(), &server.url(), "depth", &[])).expect_code(0);
    assert!(!fourth.stderr.contains("depth now by"), "{}", fourth.stderr);
}

#[test]
fn a_silent_host_costs_four_seconds() {
    let home = home();
    let silent = Server::start(|request, _| {
        std::thread::sleep(Duration::from_secs(12));
        answer(request)
    });
    let start = Instant::now();
    falls_back(
        run(&mut bare(home.path(), &silent.url(), "depth", &[])),
        "did not answer within",
    );
    let took = start.elapsed();
    assert!(took < Duration::from_secs(9), "{took:?}");
}

#[test]
fn what_is_not_what_its_name_promises_is_not_used() {
    for (why, wrong) in [
        ("404", Reply::status as fn(u16) -> Reply),
        ("401", Reply::status),
        ("503", Reply::status),
    ] {
        let home = home();
        let status = why.parse().unwrap();
        let server = Server::start(move |_, _| wrong(status));
        falls_back(
            run(&mut bare(home.path(), &server.url(), "depth", &[])),
            why,
        );
    }
    // A page where the head should be, and the head of another task.
    let page = Arc::new(b"<!DOCTYPE html><p>Log in to this network".to_vec());
    let other = Arc::new(torch_file("ade20k-ms-s", &seeded::segmenter(4 * 384, 150)));
    for (wrong, why) in [
        (page, "is a web page"),
        (other, "nyu-linear4-vits14 is a linear depth head"),
    ] {
        let home = home();
        let server = Server::start(move |request, _| match request.path.as_str() {
            DEPTH => Reply::file(request, &wrong),
            _ => answer(request),
        });
        falls_back(
            run(&mut bare(home.path(), &server.url(), "depth", &[])),
            why,
        );
        assert!(!home.path().join("heads").exists());
    }
    // Half a backbone, again and again.
    let home = home();
    let server = Server::start(|request, _| {
        let mut reply = answer(request);
        if request.path == BACKBONE && request.start() == 0 {
            reply.cut = Some(reply.body.len() / 2);
        } else if request.path == BACKBONE {
            reply.cut = Some(request.start());
        }
        reply
    });
    falls_back(
        run(&mut bare(home.path(), &server.url(), "depth", &[])),
        "the connection ",
    );
    // What came is used by the next try.
    let server = Server::start(|request, _| answer(request));
    run(&mut command(home.path(), &server.url(), &["setup"])).expect_code(0);
    let starts: Vec<usize> = server.requests().iter().map(Request::start).collect();
    assert!(starts.iter().any(|start| *start > 1_000_000), "{starts:?}");
}

#[test]
fn a_proxy_that_is_none_is_as_good_as_no_connection() {
    let home = home();
    let mut command = bare(home.path(), "http://publisher.invalid", "depth", &[]);
    falls_back(
        run(command.env("http_proxy", "http://127.0.0.1:9")),
        "cannot be reached",
    );
}

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

/// A store with both sets, Meta's and the one that can always be had.
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

#[test]
fn a_transfer_that_nobody_asked_for_gives_up_early() {
    let home = home();
    // Every connection ends after some bytes more.
    let server = Server::start(|request, _| {
        let mut reply = answer(request);
        if request.path == BACKBONE {
            reply.cut = Some(request.start() + 100_000);
        }
        reply
    });
    falls_back(
        run(&mut bare(home.path(), &server.url(), "depth", &[])),
        "the connection broke off 5 times",
    );
    // Another host is another chance, a mistyped one is the user's to mend.
    let good = Server::start(|request, _| answer(request));
    run(&mut bare(home.path(), "ftp://mirror", "depth", &[]))
        .expect_code(2)
        .expect_stderr("DINO_HEADS_URL is `ftp://mirror`");
    // Nothing is fetched for a photo that is not there.
    let args = ["depth", "nosuch.jpg"];
    run(&mut command(home.path(), &good.url(), &args)).expect_code(1);
    assert_eq!(good.requests().len(), 0);
    let done = run(&mut bare(home.path(), &good.url(), "depth", &[])).expect_code(0);
    assert_eq!(used(&done).0, "nyu-linear4-vits14");
}
