//! Downloads of small files with the library, by the protocol of the hub.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dino::model::weights::huggingface::HubToken;
use dino::model::weights::{FetchEvent, Hub, digest};
use dino::system::http::NetworkAccess;
use dino::system::http::proxy::ProxySettings;

use super::server::{Reply, Server};

const REPO: &str = "facebook/test";
const FILE: &str = "model.safetensors";

/// A client of `server` that waits half a second and does not retry.
fn hub(server: &str) -> Hub {
    Hub {
        endpoint: server.to_owned(),
        token: None,
        cache: None,
        timeout: Duration::from_millis(500),
        retries: 0,
        endpoint_variable: "HF_ENDPOINT",
        import_command: "dino models import FILE".to_owned(),
        access: NetworkAccess::Allowed,
        proxies: ProxySettings::default(),
        has_warned: Arc::default(),
    }
}

/// 300 kB without repetitions.
fn payload() -> Arc<Vec<u8>> {
    Arc::new(
        (0..75_000u32)
            .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect(),
    )
}

/// Downloads to `folder/part`; returns the error as text.
fn fetch(hub: &Hub, folder: &Path) -> Result<bool, String> {
    hub.download(REPO, FILE, &folder.join("part"), &mut |_| Ok(()))
        .map_err(|error| error.to_string())
}

fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_file_arrives_whole_and_its_progress_is_told() {
    let (folder, body) = (tempfile::tempdir().unwrap(), payload());
    let sha256 = digest::sha256(&body);
    let served = Arc::clone(&body);
    let server = Server::start(move |request, _| {
        Reply::file(request, &served).with("ETag", format!("\"{sha256}\""))
    });
    let mut last = None;
    let found =
        hub(&server.url()).download(REPO, FILE, &folder.path().join("part"), &mut |event| {
            if let FetchEvent::Progress { done, total, .. } = event {
                last = Some((done, total));
            }
            Ok(())
        });
    assert!(found.unwrap());
    assert_eq!(last, Some((300_000, Some(300_000))));
    assert_eq!(std::fs::read(folder.path().join("part")).unwrap(), *body);
    assert_eq!(
        server.requests()[0].path,
        "/facebook/test/resolve/main/model.safetensors"
    );
}

#[test]
fn a_broken_transfer_goes_on_in_the_same_run_and_in_the_next() {
    let (folder, body) = (tempfile::tempdir().unwrap(), payload());
    let served = Arc::clone(&body);
    // Every connection carries a third of the file.
    let server = Server::start(move |request, _| {
        let cut = Some(request.start() + 100_000).filter(|cut| *cut < 300_000);
        Reply {
            cut,
            ..Reply::file(request, &served).with("ETag", "\"v1\"")
        }
    });
    let error = fetch(&hub(&server.url()), folder.path()).unwrap_err();
    assert!(
        error.contains("the connection") && error.contains("run the same command again to go on"),
        "{error}"
    );
    let patient = Hub {
        retries: 1,
        ..hub(&server.url())
    };
    assert_eq!(fetch(&patient, folder.path()), Ok(true));
    assert_eq!(std::fs::read(folder.path().join("part")).unwrap(), *body);
    let starts: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.start())
        .collect();
    assert_eq!(starts, [0, 100_000, 200_000]);
}

#[test]
fn a_run_killed_before_its_check_only_checks() {
    let (folder, body) = (tempfile::tempdir().unwrap(), payload());
    let served = Arc::clone(&body);
    let server = Server::start(move |request, before| {
        match before {
            0 => Reply {
                cut: Some(299_999),
                ..Reply::file(request, &served)
            },
            _ => Reply::status(416),
        }
        .with("ETag", "\"v1\"")
    });
    assert!(fetch(&hub(&server.url()), folder.path()).is_err());
    std::fs::write(folder.path().join("part"), &*body).unwrap();
    assert_eq!(fetch(&hub(&server.url()), folder.path()), Ok(true));
    assert_eq!(server.requests().len(), 2);
    assert_eq!(names(folder.path()), ["part"]);
}

#[test]
fn another_file_under_the_same_name_is_fetched_from_its_beginning() {
    let (folder, body) = (tempfile::tempdir().unwrap(), payload());
    let old = Arc::new(vec![1; 300_000]);
    let new = Arc::clone(&body);
    let server = Server::start(move |request, before| match before {
        0 => Reply {
            cut: Some(150_000),
            ..Reply::file(request, &old).with("ETag", "\"old\"")
        },
        _ => Reply::file(request, &new).with("ETag", "\"new\""),
    });
    assert!(fetch(&hub(&server.url()), folder.path()).is_err());
    assert_eq!(fetch(&hub(&server.url()), folder.path()), Ok(true));
    assert_eq!(std::fs::read(folder.path().join("part")).unwrap(), *body);
}

#[test]
fn a_server_without_ranges_starts_over() {
    let (folder, body) = (tempfile::tempdir().unwrap(), payload());
    let served = Arc::clone(&body);
    let server = Server::start(move |_, before| {
        let cut = (before == 0).then_some(150_000);
        Reply {
            status: 200,
            body: Arc::clone(&served),
            cut,
            ..Reply::default()
        }
    });
    assert!(fetch(&hub(&server.url()), folder.path()).is_err());
    assert_eq!(fetch(&hub(&server.url()), folder.path()), Ok(true));
    assert_eq!(std::fs::read(folder.path().join("part")).unwrap(), *body);
}

#[test]
fn a_wrong_size_or_digest_is_an_error_and_nothing_is_kept() {
    let body = payload();
    for (name, value, expected) in [
        (
            "X-Linked-Size",
            "300001".to_owned(),
            "sends 300000 bytes where it promised 300001",
        ),
        (
            "X-Linked-ETag",
            format!("\"{}\"", digest::sha256(b"other")),
            "got a file with SHA-256",
        ),
        ("Content-Length", "299000".to_owned(), ""),
    ] {
        let (folder, served) = (tempfile::tempdir().unwrap(), Arc::clone(&body));
        let sha256 = digest::sha256(&body);
        let server = Server::start(move |request, _| {
            Reply::file(request, &served)
                .with("ETag", sha256.clone())
                .with(name, value.clone())
        });
        let error = fetch(&hub(&server.url()), folder.path()).unwrap_err();
        assert!(
            error.contains(expected) && error.contains("try again later"),
            "{error}"
        );
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn a_missing_file_is_no_error_and_a_closed_door_names_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request, _| {
        match request.headers.get("authorization").map(String::as_str) {
            None => Reply::status(401),
            Some("Bearer wrong") => Reply::status(403),
            Some(_) => Reply::status(404),
        }
    });
    let with = |token: &str| Hub {
        token: Some(HubToken {
            secret: token.to_owned(),
            source: "HF_TOKEN".to_owned(),
        }),
        ..hub(&server.url())
    };
    assert_eq!(fetch(&with("right"), folder.path()), Ok(false));
    let error = fetch(&hub(&server.url()), folder.path()).unwrap_err();
    assert!(
        error.contains("denies model.safetensors (401); set HF_TOKEN"),
        "{error}"
    );
    let error = fetch(&with("wrong"), folder.path()).unwrap_err();
    assert!(
        error.contains("(403); the token from HF_TOKEN was not accepted"),
        "{error}"
    );
}

#[test]
fn silence_is_given_up_in_time() {
    let (folder, body) = (tempfile::tempdir().unwrap(), payload());
    let stall = Duration::from_secs(20);
    let server = Server::start(move |request, before| match before {
        0 => Reply {
            cut: Some(1000),
            stall,
            ..Reply::file(request, &body)
        },
        _ => {
            std::thread::sleep(stall);
            Reply::status(200)
        }
    });
    let start = Instant::now();
    let error = fetch(&hub(&server.url()), folder.path()).unwrap_err();
    assert!(
        error.contains("no byte came for 0.5 s with 1000 bytes on the disk"),
        "{error}"
    );
    let error = fetch(&hub(&server.url()), folder.path()).unwrap_err();
    assert!(
        error.contains("127.0.0.1 did not answer within 0.5 s"),
        "{error}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn failing_and_absent_servers_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request, _| match request.path.contains("moved") {
        true => Reply::status(302).with("Location", "/moved/again"),
        false => Reply::status(503),
    });
    let error = fetch(&hub(&server.url()), folder.path()).unwrap_err();
    assert!(error.contains("busy or failing (503)"), "{error}");
    let error = fetch(&hub(&format!("{}/moved", server.url())), folder.path()).unwrap_err();
    assert!(error.contains("more than 10 redirects"), "{error}");
    let url = server.url();
    drop(server);
    let error = fetch(&hub(&url), folder.path()).unwrap_err();
    assert!(
        error.contains("127.0.0.1 cannot be reached") && error.contains("dino models import FILE"),
        "{error}"
    );
    // `.invalid` never resolves (RFC 6761).
    let patient = Hub {
        retries: 3,
        ..hub("http://hub.invalid")
    };
    let mut notes = 0;
    let error = patient.download(REPO, FILE, &folder.path().join("part"), &mut |_| {
        notes += 1;
        Ok(())
    });
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("hub.invalid cannot be reached") && notes == 0,
        "{error}"
    );
}

#[test]
fn the_caller_can_stop_a_transfer() {
    let (folder, body) = (tempfile::tempdir().unwrap(), payload());
    let server = Server::start(move |request, _| Reply::file(request, &body));
    let stop = hub(&server.url()).download(REPO, FILE, &folder.path().join("part"), &mut |_| {
        Err(dino::Error::Interrupted)
    });
    assert!(matches!(stop, Err(dino::Error::Interrupted)));
}
