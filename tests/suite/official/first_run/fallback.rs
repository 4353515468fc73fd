//! Without a connection, with a slow host or with wrong files, the run goes on with the built-in heads and says why.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{BACKBONE, DEPTH, NOWHERE, answer, bare, command, falls_back, home, used};
use crate::models::run;
use crate::models::server::{Reply, Request, Server};
use crate::official::seeded::{self, torch_file};

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
