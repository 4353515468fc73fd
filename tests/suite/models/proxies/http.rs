//! Plain HTTP through a proxy: requests, broken transfers, redirects and `NO_PROXY`.

use std::sync::Arc;

use super::{FILE, hub, pull};
use crate::models::fixtures;
use crate::models::server::{Reply, Server};

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
