//! Requests through proxies on this machine: what they are asked, and that nothing goes past them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fixtures::{self, NAME};
use super::server::{Reply, Server};
use super::{dino, run};
use crate::program::Run;

const FILE: &str = "/facebook/dino-vits16/resolve/main/model.safetensors";

/// A hub that has the model.
fn hub() -> Server {
    let body = Arc::new(fixtures::safetensors(fixtures::canonical()));
    Server::start(move |request, _| match request.path.ends_with(FILE) {
        true => Reply::file(request, &body),
        false => Reply::status(404),
    })
}

/// Pulls the model from `endpoint` with `variables`.
fn pull(home: &Path, endpoint: &str, variables: &[(&str, &str)]) -> Run {
    run(dino(home)
        .args(["models", "pull", NAME])
        .env("HF_ENDPOINT", endpoint)
        .env("DINO_HTTP_TIMEOUT", "5")
        .envs(variables.iter().copied()))
}

/// A proxy that speaks SOCKS or HTTP's CONNECT and leads wherever it is asked to `to`; it remembers what it was told.
struct Tunnel {
    port: u16,
    told: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = Arc::new(Mutex::new(Vec::new()));
        let (log, to) = (
            Arc::clone(&told),
            to.trim_start_matches("http://").to_owned(),
        );
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, to) = (Arc::clone(&log), to.clone());
                std::thread::spawn(move || lead(stream, &to, &log));
            }
        });
        Tunnel { port, told }
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

/// One client of a [`Tunnel`]; the first byte says what it speaks.
fn lead(mut client: TcpStream, to: &str, log: &Mutex<Vec<String>>) -> Option<()> {
    client
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let until = |end: &[u8], client: &mut TcpStream| {
        let mut all = Vec::new();
        while !all.ends_with(end) {
            all.extend(read(client, 1)?);
        }
        all.truncate(all.len() - end.len());
        Some(all)
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let first = read(&mut client, 1)?[0];
    let mut said = match first {
        5 => "socks5 ".to_owned(),
        4 => "socks4 ".to_owned(),
        _ => "http ".to_owned(),
    };
    match first {
        5 => {
            let count = read(&mut client, 1)?[0];
            let methods = read(&mut client, count.into())?;
            if methods.contains(&2) {
                client.write_all(&[5, 2]).ok()?;
                let user = read(&mut client, 2)?[1];
                said += &text(&read(&mut client, user.into())?);
                let word = read(&mut client, 1)?[0];
                said += ":";
                said += &text(&read(&mut client, word.into())?);
                said += "@";
                client.write_all(&[1, 0]).ok()?;
            } else {
                client.write_all(&[5, 0]).ok()?;
            }
            let kind = read(&mut client, 4)?[3];
            said += &match kind {
                1 => {
                    let ip = read(&mut client, 4)?;
                    format!("{}.{}.{}.{}", ip[0], ip[1], ip[2], ip[3])
                }
                3 => {
                    let length = read(&mut client, 1)?[0];
                    text(&read(&mut client, length.into())?)
                }
                _ => "IPv6".to_owned(),
            };
            read(&mut client, 2)?;
            client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
        }
        4 => {
            let head = read(&mut client, 7)?;
            until(&[0], &mut client)?;
            said += &match head[3..] {
                [0, 0, 0, 1] => text(&until(&[0], &mut client)?),
                _ => format!("{}.{}.{}.{}", head[3], head[4], head[5], head[6]),
            };
            client.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).ok()?;
        }
        _ => {
            let head = until(b"\r\n\r\n", &mut client)?;
            said += &format!("{}{}", char::from(first), text(&head).lines().next()?);
            log.lock().unwrap().push(said);
            // What it would carry on is TLS, which this test cannot answer.
            client
                .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                .ok()?;
            return Some(());
        }
    }
    log.lock().unwrap().push(said);
    let server = TcpStream::connect(to).ok()?;
    let (mut from, mut into) = (client.try_clone().ok()?, server.try_clone().ok()?);
    std::thread::spawn(move || std::io::copy(&mut from, &mut into));
    let (mut from, mut into) = (server, client);
    std::io::copy(&mut from, &mut into).ok()?;
    let _ = into.shutdown(std::net::Shutdown::Both);
    Some(())
}

fn read(client: &mut TcpStream, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    client.read_exact(&mut bytes).ok().map(|()| bytes)
}

#[test]
fn every_kind_of_socks_leads_to_the_hub() {
    let hub = hub();
    let tunnel = Tunnel::start(&hub.url());
    // Names that only a proxy can look up, and one that is looked up here.
    for (index, (scheme, host, told)) in [
        ("socks5h", "hub.invalid", "socks5 hub.invalid"),
        ("socks5", "127.0.0.9", "socks5 127.0.0.9"),
        ("socks4a", "hub.invalid", "socks4 hub.invalid"),
        ("socks4", "127.0.0.9", "socks4 127.0.0.9"),
        (
            "socks5h://ada:p%40%3Ass",
            "hub.invalid",
            "socks5 ada:p@:ss@hub.invalid",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let home = tempfile::tempdir().unwrap();
        let (scheme, user) = scheme.split_once("://").unwrap_or((scheme, ""));
        let at = if user.is_empty() { "" } else { "@" };
        let proxy = format!("{scheme}://{user}{at}127.0.0.1:{}", tunnel.port);
        let name = ["ALL_PROXY", "all_proxy"][index % 2];
        let done = pull(home.path(), &format!("http://{host}"), &[(name, &proxy)]);
        assert_eq!(done.code(), 0, "{proxy}: {}", done.stderr);
        assert_eq!(tunnel.told().last().unwrap(), told, "{proxy}");
    }
    assert_eq!(hub.requests().len(), 5);
}

#[test]
fn plain_http_is_asked_of_the_proxy_itself() {
    let home = tempfile::tempdir().unwrap();
    let proxy = hub();
    let with_user = proxy.url().replace("http://", "http://ada:p%40ss@");
    let variables = [
        ("http_proxy", with_user.as_str()),
        ("HF_TOKEN", "hf_secret"),
    ];
    let done = pull(home.path(), "http://hub.invalid:8080/mirror", &variables);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let request = &proxy.requests()[0];
    assert_eq!(
        request.path,
        format!("http://hub.invalid:8080/mirror{FILE}")
    );
    assert_eq!(request.headers["host"], "hub.invalid:8080");
    // ada:p@ss
    assert_eq!(request.headers["proxy-authorization"], "Basic YWRhOnBAc3M=");
    // All on the way could read it.
    assert!(!request.headers.contains_key("authorization"));
    assert!(
        done.stderr
            .contains("the token from HF_TOKEN is not sent: HF_ENDPOINT is no https address"),
        "{}",
        done.stderr
    );
    assert!(
        !done.stderr.contains("p@ss") && !done.stderr.contains("hf_secret"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_broken_transfer_through_a_proxy_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let body = Arc::new(fixtures::safetensors(fixtures::canonical()));
    let half = body.len() / 2;
    let proxy = Server::start(move |request, before| Reply {
        cut: (before == 0).then_some(half),
        ..Reply::file(request, &body).with("ETag", "\"v\"")
    });
    let done = pull(
        home.path(),
        "http://hub.invalid",
        &[("http_proxy", &proxy.url())],
    );
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let starts: Vec<usize> = proxy
        .requests()
        .iter()
        .map(|request| request.start())
        .collect();
    assert_eq!(starts, [0, half]);
}

#[test]
fn https_asks_an_http_proxy_for_a_tunnel() {
    let home = tempfile::tempdir().unwrap();
    let tunnel = Tunnel::start("");
    let proxy = format!("127.0.0.1:{}", tunnel.port);
    let done = pull(
        home.path(),
        "https://hub.invalid",
        &[("HTTPS_PROXY", &proxy)],
    );
    assert_eq!(done.code(), 1);
    assert_eq!(tunnel.told(), ["http CONNECT hub.invalid:443 HTTP/1.1"]);
    let way =
        format!("hub.invalid, through the proxy http://{proxy} (HTTPS_PROXY), cannot be reached");
    assert!(
        done.stderr.contains(&way) && done.stderr.contains("502"),
        "{}",
        done.stderr
    );
}

#[test]
fn no_proxy_leads_straight_to_the_hub() {
    let home = tempfile::tempdir().unwrap();
    let (hub, proxy) = (hub(), hub());
    let variables = [
        ("all_proxy", proxy.url()),
        ("NO_PROXY", "example.org, 127.0.0.0/8".to_owned()),
    ];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    assert_eq!(pull(home.path(), &hub.url(), &variables).code(), 0);
    assert!(proxy.requests().is_empty() && hub.requests().len() == 1);
}

#[test]
fn a_redirect_is_asked_for_by_the_way_of_its_own_address() {
    let home = tempfile::tempdir().unwrap();
    let store = hub();
    let to = format!("{}{FILE}", store.url());
    let proxy = Server::start(move |_, _| Reply::status(302).with("Location", to.clone()));
    let variables = [
        ("http_proxy", proxy.url()),
        ("no_proxy", "127.0.0.1".to_owned()),
    ];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let done = pull(home.path(), "http://hub.invalid", &variables);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert_eq!((proxy.requests().len(), store.requests().len()), (1, 1));
}

/// The hub could be reached; none of these may lead there.
#[test]
fn a_proxy_that_cannot_be_used_is_an_error_and_never_passed_by() {
    let hub = hub();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let refuses = Server::start(|_, _| Reply::status(407));
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = |scheme: &str, address: String| format!("{scheme}://{address}");
    for (variable, value, said) in [
        (
            "ALL_PROXY",
            "nonsense://ada:secret@127.0.0.1:1".to_owned(),
            "ALL_PROXY is `***@127.0.0.1:1`",
        ),
        (
            "http_proxy",
            "http://".to_owned(),
            "http_proxy is `http://`",
        ),
        (
            "http_proxy",
            "http://127.0.0.1:99999".to_owned(),
            "no host and port",
        ),
        (
            "all_proxy",
            at("socks4", "ada@127.0.0.1:1".to_owned()),
            "SOCKS4 with a user",
        ),
        (
            "http_proxy",
            at("http", closed.to_string()),
            "cannot be reached",
        ),
        (
            "ALL_PROXY",
            at("socks5h", closed.to_string()),
            "(ALL_PROXY), cannot be reached",
        ),
        (
            "all_proxy",
            at("socks5", "proxy.invalid:1".to_owned()),
            "check all_proxy",
        ),
        (
            "http_proxy",
            refuses.url(),
            "asks for a user and a password (407); write them into http_proxy",
        ),
        (
            "http_proxy",
            refuses.url().replace("//", "//ada:secret@"),
            "does not accept the user and password",
        ),
        (
            "ALL_PROXY",
            at("socks5h", deaf.local_addr().unwrap().to_string()),
            "did not answer within 0.3 s",
        ),
    ] {
        let home = tempfile::tempdir().unwrap();
        let done = run(dino(home.path())
            .args(["models", "pull", NAME])
            .env("HF_ENDPOINT", hub.url())
            .env("DINO_HTTP_TIMEOUT", "0.3")
            .env(variable, &value));
        assert_eq!(done.code(), 1, "{value}: {}", done.stderr);
        assert!(
            done.stderr.contains(said) && done.stderr.contains(variable),
            "{value}: {}",
            done.stderr
        );
        assert!(!done.stderr.contains("secret"), "{}", done.stderr);
    }
    assert!(hub.requests().is_empty());
}

#[test]
fn http_proxy_in_capitals_is_passed_over_with_a_word() {
    let home = tempfile::tempdir().unwrap();
    let (hub, proxy) = (hub(), hub());
    let done = pull(home.path(), &hub.url(), &[("HTTP_PROXY", &proxy.url())]);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert!(
        done.stderr
            .contains("HTTP_PROXY is not used, as curl does not use it"),
        "{}",
        done.stderr
    );
    assert!(proxy.requests().is_empty());
}

/// pip would read it too, and pass over what it does not know.
#[cfg(unix)]
#[test]
fn no_client_is_started_with_a_proxy_that_is_none() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let pip = folder.path().join("pip");
    let mark = folder.path().join("mark");
    std::fs::write(
        &pip,
        format!("#!/bin/sh\necho >> '{}'; exit 1\n", mark.display()),
    )
    .unwrap();
    std::fs::set_permissions(&pip, std::fs::Permissions::from_mode(0o755)).unwrap();
    let done = run(dino(folder.path())
        .args(["models", "pull", "vits14-focus"])
        .env("PATH", folder.path())
        .env("HTTPS_PROXY", "gopher://127.0.0.1"));
    assert_eq!(done.code(), 1);
    assert!(
        done.stderr.contains("HTTPS_PROXY is `gopher://127.0.0.1`"),
        "{}",
        done.stderr
    );
    assert!(!mark.exists());
}
