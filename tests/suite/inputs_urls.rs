//! URLs as inputs of the built program.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::models::server::{Reply, Request, Server};
use crate::program::{Run, command, finish, sample, store_with_focus};
use crate::results::names_in_dino_out;

fn depth(folder: &Path, args: &[&str]) -> Run {
    let mut command = command(&["depth", "--size", "56"]);
    command
        .args(args)
        .current_dir(folder)
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("HF_HUB_OFFLINE")
        .env("DINO_HOME", store_with_focus());
    finish(&mut command, b"")
}

/// A server that answers with photos, other files and errors.
fn server() -> Server {
    let photo = |name: &str| Arc::new(fs::read(sample(name)).unwrap());
    let (room, dogs) = (photo("room.jpg"), photo("dogs.jpg"));
    let page = Arc::new(b"<!DOCTYPE html><title>Log in</title>".to_vec());
    Server::start(move |request: &Request, _| {
        let whole = |body: &Arc<Vec<u8>>| Reply::file(request, body);
        let length = room.len().to_string();
        match request.path.as_str() {
            "/room.jpg" | "/x/room.jpg" => whole(&room).with("Content-Type", "text/plain"),
            "/photo?id=1" => whole(&room),
            "/photo?id=2&token=secret" => whole(&dogs),
            "/moved" => Reply::status(302).with("Location", "/room.jpg"),
            "/circle" => Reply::status(302).with("Location", "/circle"),
            "/away" => Reply::status(302).with("Location", "file:///etc/passwd"),
            "/page" => whole(&page),
            "/forbidden.jpg" => Reply::status(403),
            "/busy.jpg" => Reply::status(503),
            "/half.jpg" => Reply {
                cut: Some(room.len() / 2),
                ..whole(&room)
            },
            "/slow.jpg" => Reply {
                cut: Some(5000),
                stall: Duration::from_secs(20),
                ..whole(&room)
            }
            .with("Content-Length", length),
            "/packed.jpg" => whole(&room).with("Content-Encoding", "gzip"),
            "/private.jpg" => match request.headers.get("authorization").map(String::as_str) {
                Some("Basic YWRhOnNlY3JldA==") => whole(&room),
                _ => Reply::status(401),
            },
            _ => Reply::status(404),
        }
    })
}

#[test]
fn addresses_are_photos_with_the_names_of_their_last_parts() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let url = |path: &str| format!("{}{path}", server.url());
    fs::write(folder.path().join("list"), url("/photo?id=2&token=secret")).unwrap();
    let urls = ["/room.jpg", "/moved", "/room.jpg#again", "/photo?id=1"].map(url);
    let mut args: Vec<&str> = urls.iter().map(String::as_str).collect();
    args.extend(["--files-from", "list", "--json"]);
    let run = depth(folder.path(), &args).expect_code(0);
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert_eq!(run.lines().len(), 4, "{text}");
    assert!(
        text.contains(&format!("\"input\":\"{}\"", urls[0])),
        "{text}"
    );
    let made = names_in_dino_out(&folder);
    assert_eq!(made.len(), 4, "{made:?}");
    assert!(
        made.contains(&"room.depth.png".to_owned()) && made.contains(&"moved.depth.png".to_owned())
    );
    assert_eq!(
        made.iter().filter(|name| name.contains("photo-")).count(),
        2,
        "{made:?}"
    );
    // What lets somebody in is nowhere; the rest of the address is.
    let manifest = fs::read_to_string(folder.path().join("dino-out/manifest.jsonl")).unwrap();
    for text in [&text, &run.stderr, &manifest] {
        assert!(!text.contains("secret"), "{text}");
    }
    assert!(
        manifest.contains(&url("/photo?id=2&token=***")),
        "{manifest}"
    );
    depth(folder.path(), &args)
        .expect_code(0)
        .expect_stderr("4 already there, skipped");
}

#[test]
fn each_way_to_fail_is_a_failure_of_its_photo_and_named() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let ways = [
        (
            "/none.jpg",
            "the server answered 404, not found; check the address",
        ),
        ("/forbidden.jpg", "the server answered 403"),
        ("/busy.jpg", "the server answered 503"),
        ("/half.jpg", "bytes"),
        ("/circle", "redirects more than"),
        ("/away", "redirects to what is no address"),
        ("/page", "sent a web page, not an image"),
        ("/packed.jpg", "packed (gzip)"),
        ("/private.jpg", "asks for a user and a password"),
    ];
    let mut urls: Vec<String> = ways
        .iter()
        .map(|(path, _)| format!("{}{path}", server.url()))
        .collect();
    urls.push(format!("{}/x/room.jpg", server.url()));
    urls.push("s3://bucket/a.jpg".into());
    let args: Vec<&str> = urls.iter().map(String::as_str).collect();
    let run = depth(folder.path(), &args).expect_code(1);
    for (path, why) in ways {
        let line = run.stderr.lines().find(|line| line.contains(path));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{path}: {}",
            run.stderr
        );
    }
    let run = run.expect_stderr("10 of 11 inputs failed");
    run.expect_stderr("only those of http:// and https:// are fetched");
    assert_eq!(names_in_dino_out(&folder), ["room.depth.png"]);
}

#[test]
fn limits_are_kept() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let url = |path: &str| format!("{}{path}", server.url());
    let begun = Instant::now();
    depth(
        folder.path(),
        &[&url("/slow.jpg"), "--download-timeout", "0.5"],
    )
    .expect_code(1)
    .expect_stderr("slow.jpg: did not arrive within 0.5 s");
    assert!(begun.elapsed() < Duration::from_secs(15));
    depth(
        folder.path(),
        &[&url("/room.jpg"), "--max-download", "0.01M"],
    )
    .expect_code(1)
    .expect_stderr("--max-download");
    depth(folder.path(), &[&url("/room.jpg"), "--offline"])
        .expect_code(1)
        .expect_stderr("--offline forbids fetching it");
    let closed = "http://127.0.0.1:9/a.jpg";
    depth(folder.path(), &[closed])
        .expect_code(1)
        .expect_stderr("127.0.0.1 cannot be reached");
    assert!(!folder.path().join("dino-out").exists());
}

#[test]
fn a_user_and_a_password_are_sent_and_not_shown() {
    let (server, folder): (Server, TempDir) = (server(), tempfile::tempdir().unwrap());
    let address = server.url().replace("http://", "http://ada:secret@");
    let run = depth(
        folder.path(),
        &[&format!("{address}/private.jpg"), "--json"],
    )
    .expect_code(0);
    let manifest = fs::read_to_string(folder.path().join("dino-out/manifest.jsonl")).unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    for text in [said, run.stderr, manifest] {
        assert!(!text.contains("secret"), "{text}");
    }
    let wrong = server.url().replace("http://", "http://ada:wrong@");
    let run = depth(folder.path(), &[&format!("{wrong}/private.jpg"), "--force"]).expect_code(1);
    assert!(
        run.stderr.contains("***@127.0.0.1") && !run.stderr.contains("wrong"),
        "{}",
        run.stderr
    );
}
