//! Proxies that cannot be used are errors, and ignored variables are mentioned.

use std::net::TcpListener;

use super::{hub, pull};
use crate::models::fixtures::NAME;
use crate::models::server::{Reply, Server};
use crate::models::{dino, run};

/// The hub is reachable, but no request may reach it past an unusable proxy.
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

/// pip reads the variable too, and would ignore a proxy of an unknown kind.
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
