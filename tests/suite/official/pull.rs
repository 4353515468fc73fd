//! `dino heads pull` from a host on this machine.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::seeded::{self, torch_file};
use crate::models::server::{Reply, Server};
use crate::models::{dino, fixtures, out, run};

const PATH: &str = "/dinov2_vits14/dinov2_vits14_nyu_linear_head.pth";

fn pull(home: &Path, host: &str, args: &[&str]) -> Command {
    let mut command = dino(home);
    command
        .args(["heads", "pull"])
        .args(args)
        .env("DINO_HEADS_URL", host)
        .env("DINO_HTTP_TIMEOUT", "2")
        .env("HF_TOKEN", "secret");
    command
}

fn head() -> Arc<Vec<u8>> {
    Arc::new(torch_file("nyu-linear-s", &seeded::linear_depth(768)))
}

#[test]
fn a_head_and_its_backbone_come_from_the_mirror_and_no_token_goes_there() {
    let home = tempfile::tempdir().unwrap();
    let body = head();
    let backbone = Arc::new(fixtures::safetensors(&seeded::backbone("vits14")));
    let server = Server::start(move |request, _| match request.path.as_str() {
        PATH => Reply::file(request, &body).with("ETag", "\"1\""),
        "/dinov2_vits14/dinov2_vits14_pretrain.pth" => Reply::file(request, &backbone),
        _ => Reply::status(404),
    });
    let done = run(&mut pull(home.path(), &server.url(), &["nyu-linear"])).expect_code(0);
    assert!(out(&done).trim().ends_with("nyu-linear-vits14.safetensors"));
    assert!(done.stderr.contains("vits14 installed"), "{}", done.stderr);
    assert!(home.path().join("models/vits14.safetensors").exists());
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(
        requests
            .iter()
            .all(|request| !request.headers.contains_key("authorization"))
    );
    // Once there, nothing is asked for again.
    run(&mut pull(
        home.path(),
        &server.url(),
        &["nyu-linear-vits14"],
    ))
    .expect_code(0)
    .expect_stderr("was installed before");
    assert_eq!(server.requests().len(), 2);
    // It is what a bare `dino depth` uses now; the paper's figure is at hand.
    let info = run(dino(home.path()).args(["heads", "default", "depth"])).expect_code(0);
    assert!(
        info.stderr.contains("dino depth uses nyu-linear-vits14"),
        "{}",
        info.stderr
    );
}

#[test]
fn a_broken_transfer_goes_on_where_it_stopped() {
    let home = tempfile::tempdir().unwrap();
    let body = head();
    let server = Server::start(move |request, before| {
        let mut reply = Reply::file(request, &body).with("ETag", "\"1\"");
        if before == 0 {
            reply.cut = Some(body.len() / 3);
        }
        reply
    });
    run(&mut pull(
        home.path(),
        &server.url(),
        &["nyu-linear-vits14", "--no-backbone"],
    ))
    .expect_code(0)
    .expect_stderr("going on from byte");
    let starts: Vec<usize> = server
        .requests()
        .iter()
        .map(|request| request.start())
        .collect();
    assert!(starts[0] == 0 && starts[1] > 100_000, "{starts:?}");
}

#[test]
fn what_cannot_be_had_is_said_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let missing = Server::start(|_, _| Reply::status(404));
    let args = ["nyu-linear-vits14", "--no-backbone"];
    run(&mut pull(home.path(), &missing.url(), &args))
        .expect_code(1)
        .expect_stderr("404")
        .expect_stderr("DINO_HEADS_URL");
    // A server that promises more than it sends, and one that sends another file.
    let body = head();
    let short = Server::start(move |request, _| {
        let mut reply = Reply::file(request, &body)
            .with("ETag", "\"1\"")
            .with("Content-Length", (body.len() + 5).to_string());
        reply.stall = Duration::ZERO;
        reply
    });
    run(&mut pull(home.path(), &short.url(), &args))
        .expect_code(1)
        .expect_stderr("the connection");
    let other = Arc::new(torch_file("ade20k-ms-s", &seeded::segmenter(4 * 384, 150)));
    let wrong = Server::start(move |request, _| Reply::file(request, &other).with("ETag", "\"2\""));
    run(&mut pull(home.path(), &wrong.url(), &args))
        .expect_code(1)
        .expect_stderr("but nyu-linear-vits14 is a linear depth head that reads 768 numbers");
    let page = Arc::new(b"<!DOCTYPE html><p>Not here".to_vec());
    let html = Server::start(move |request, _| Reply::file(request, &page));
    run(&mut pull(home.path(), &html.url(), &args))
        .expect_code(1)
        .expect_stderr("is a web page");
    assert!(!home.path().join("heads").exists());
}

#[test]
fn wrong_names_are_met_with_the_right_ones() {
    let home = tempfile::tempdir().unwrap();
    let host = "http://127.0.0.1:9";
    run(&mut pull(home.path(), host, &["nyu-lineer"]))
        .expect_code(2)
        .expect_stderr("did you mean `nyu-linear` or");
    run(&mut pull(
        home.path(),
        host,
        &["nyu", "--model", "vits14-reg"],
    ))
    .expect_code(2)
    .expect_stderr("imagenet-linear");
    run(&mut pull(
        home.path(),
        host,
        &["nyu", "--model", "dino-vits8"],
    ))
    .expect_code(2)
    .expect_stderr("no heads were published for dino-vits8");
    run(&mut pull(home.path(), "somewhere", &["nyu"]))
        .expect_code(2)
        .expect_stderr("DINO_HEADS_URL is `somewhere`");
    run(dino(home.path()).args(["heads", "info", "nyu-dpt-vitl14"]))
        .expect_code(1)
        .expect_stderr("`dino heads pull nyu-dpt-vitl14` fetches it");
}
