//! `dino models pull` from a hub on this machine.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dino::model::weights::digest;

use super::fixtures::{self, NAME};
use super::server::{Reply, Server};
use super::{dino, left_behind, models, out, record, run};

const RESOLVE: &str = "/facebook/dino-vits16/resolve/main/";

fn pull(home: &Path, endpoint: &str) -> Command {
    let mut command = dino(home);
    command
        .args(["models", "pull", NAME])
        .env("HF_ENDPOINT", endpoint)
        .env("DINO_HTTP_TIMEOUT", "2");
    command
}

#[test]
fn a_model_comes_through_a_redirect_and_the_token_stays_at_the_hub() {
    let home = tempfile::tempdir().unwrap();
    let body = Arc::new(fixtures::safetensors(&fixtures::transformers()));
    let (sha256, size) = (digest::sha256(&body), body.len());
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/cdn/blob" => Reply::file(request, &body),
        path if path == format!("{RESOLVE}model.safetensors") => {
            let host = &request.headers["host"];
            // The same server under another name is another host.
            Reply::status(302)
                .with(
                    "Location",
                    format!("http://{}/cdn/blob", host.replace("127.0.0.1", "localhost")),
                )
                .with("X-Linked-Size", size.to_string())
                .with("X-Linked-ETag", format!("\"{sha256}\""))
        }
        _ => Reply::status(404),
    });
    let done = run(pull(home.path(), &server.url()).env("HF_TOKEN", "secret"));
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert_eq!(
        Path::new(out(&done).trim()),
        home.path().join("models/dino-vits16.safetensors")
    );
    let record = record(home.path(), NAME);
    assert_eq!(record["source"], "facebook/dino-vits16/model.safetensors");
    assert_eq!(record["license"], "Apache-2.0");
    assert_eq!(
        record["fingerprint"],
        digest::fingerprint(fixtures::canonical())
    );
    assert_eq!(
        left_behind(home.path()),
        ["dino-vits16.json", "dino-vits16.safetensors"]
    );
    let tokens: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.headers.get("authorization").cloned())
        .collect();
    assert_eq!(tokens, [Some("Bearer secret".to_owned()), None]);
    // Once there, it is not asked for again.
    let again = run(&mut pull(home.path(), &server.url()));
    assert!(
        again.code() == 0 && again.stderr.contains("was installed before"),
        "{}",
        again.stderr
    );
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn killed_runs_leave_no_model_and_two_at_once_share_one_download() {
    let home = tempfile::tempdir().unwrap();
    // A repository from before safetensors.
    let body = Arc::new(fixtures::torch_file(fixtures::canonical(), b""));
    let half = body.len() / 2;
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let server =
        Server::start(
            move |request, _| match request.path.ends_with("pytorch_model.bin") {
                false => Reply::status(404),
                true if count.fetch_add(1, Ordering::SeqCst) == 0 => Reply {
                    cut: Some(half),
                    stall: Duration::from_secs(20),
                    ..Reply::file(request, &body).with("ETag", "\"v\"")
                },
                true => Reply::file(request, &body).with("ETag", "\"v\""),
            },
        );
    let mut first = pull(home.path(), &server.url())
        .env("DINO_HTTP_TIMEOUT", "60")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let partial = home.path().join("models/.part-dino-vits16");
    let start = Instant::now();
    while std::fs::metadata(&partial).map_or(0, |file| file.len()) < half as u64 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "the first half never came"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let list = models(home.path(), ["list", "--json"]);
    assert!(
        list.code() == 0 && !out(&list).contains(r#""installed":true"#),
        "{}",
        out(&list)
    );

    let start_one = || {
        pull(home.path(), &server.url())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    for child in [start_one(), start_one()] {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(
        served.load(Ordering::SeqCst),
        2,
        "one download to kill, one to finish"
    );
    let starts: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.start())
        .collect();
    assert!(
        starts.contains(&half),
        "the killed download was not gone on with: {starts:?}"
    );
    assert_eq!(
        record(home.path(), NAME)["fingerprint"],
        digest::fingerprint(fixtures::canonical())
    );
    assert_eq!(
        left_behind(home.path()),
        ["dino-vits16.json", "dino-vits16.safetensors"]
    );
}

#[test]
fn what_other_programs_have_cached_is_not_fetched_again() {
    let home = tempfile::tempdir().unwrap();
    let repo = home.path().join("hf/hub/models--facebook--dino-vits16");
    let snapshot = repo.join("snapshots/abc");
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir_all(repo.join("refs")).unwrap();
    std::fs::write(repo.join("refs/main"), "abc").unwrap();
    std::fs::write(
        snapshot.join("model.safetensors"),
        fixtures::safetensors(fixtures::canonical()),
    )
    .unwrap();
    let done = run(pull(home.path(), "http://127.0.0.1:9").env("HF_HOME", home.path().join("hf")));
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert!(done.stderr.contains("taken from"), "{}", done.stderr);
}

#[test]
fn errors_name_the_repository_and_the_next_step() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply::status(404));
    let done = run(&mut pull(home.path(), &server.url()));
    assert_eq!(done.code(), 1);
    let expected = "/facebook/dino-vits16 has neither model.safetensors nor pytorch_model.bin (404); check HF_ENDPOINT";
    assert!(done.stderr.contains(expected), "{}", done.stderr);

    // What arrives whole may still be no model.
    let page = Arc::new(b"<!DOCTYPE html><title>Sign in</title>".to_vec());
    let server = Server::start(move |request, _| Reply::file(request, &page));
    let done = run(&mut pull(home.path(), &server.url()));
    assert_eq!(done.code(), 1);
    assert!(done.stderr.contains("is a web page"), "{}", done.stderr);

    let done = models(home.path(), ["pull", "vits15"]);
    assert_eq!(done.code(), 2);
    assert!(
        done.stderr
            .contains("`vits15` is no model that can be pulled; did you mean `vits14`"),
        "{}",
        done.stderr
    );
    let done = run(pull(home.path(), &server.url()).env("DINO_HTTP_TIMEOUT", "soon"));
    assert_eq!(done.code(), 2);
    assert!(
        done.stderr.contains("DINO_HTTP_TIMEOUT is `soon`"),
        "{}",
        done.stderr
    );
    let done = run(&mut pull(home.path(), "hub.example"));
    assert_eq!(done.code(), 2);
    assert!(
        done.stderr
            .contains("HF_ENDPOINT is `hub.example`; expected an address"),
        "{}",
        done.stderr
    );
    assert_eq!(left_behind(home.path()), [""; 0]);
}
