use super::*;

fn proxies(pairs: &[(&str, &str)]) -> ProxySettings {
    ProxySettings::from_variables(&EnvVariables::from_pairs(pairs.iter().copied())).unwrap()
}

/// The variable that names the proxy for a request of `url`.
fn variable(pairs: &[(&str, &str)], url: &str) -> Option<&'static str> {
    let route = proxies(pairs).proxy_for(&url.parse().unwrap()).unwrap();
    route.map(|route| route.variable)
}

#[test]
fn variables_are_taken_in_the_order_of_curl() {
    const P: &str = "http://127.0.0.1:9";
    const Q: &str = "http://127.0.0.1:8";
    let (http, https) = ("http://hub.invalid/x", "https://hub.invalid/x");
    assert_eq!(variable(&[], https), None);
    assert_eq!(variable(&[("https_proxy", "")], https), None);
    assert_eq!(
        variable(&[("https_proxy", " "), ("ALL_PROXY", P)], https),
        Some("ALL_PROXY")
    );
    assert_eq!(
        variable(&[("HTTPS_PROXY", P), ("ALL_PROXY", Q)], https),
        Some("HTTPS_PROXY")
    );
    assert_eq!(variable(&[("HTTPS_PROXY", P)], http), None);
    assert_eq!(variable(&[("http_proxy", P)], http), Some("http_proxy"));
    assert_eq!(variable(&[("http_proxy", P)], https), None);
    assert_eq!(variable(&[("ALL_PROXY", P)], http), Some("ALL_PROXY"));
    if !cfg!(windows) {
        assert_eq!(
            variable(&[("HTTPS_PROXY", P), ("https_proxy", Q)], https),
            Some("https_proxy")
        );
        assert_eq!(
            variable(&[("ALL_PROXY", P), ("all_proxy", Q)], https),
            Some("all_proxy")
        );
        assert_eq!(variable(&[("HTTP_PROXY", P)], http), None);
        let upper = proxies(&[("HTTP_PROXY", P)]);
        assert!(upper.ignores_http_proxy(&http.parse().unwrap()));
        assert!(!upper.ignores_http_proxy(&https.parse().unwrap()));
        assert!(
            !proxies(&[("HTTP_PROXY", P), ("NO_PROXY", "*")])
                .ignores_http_proxy(&http.parse().unwrap())
        );
    }
}

/// Compared with curl 7.88, but for what is marked: IPv6 in networks and brackets as later ones have it, and ports and
/// blanks around the star, which no curl knows.
#[test]
fn no_proxy_is_read_as_curl_reads_it() {
    for (url, list, direct) in [
        ("http://hub.invalid/", "hub.invalid", true),
        ("http://hub.invalid/", ".hub.invalid", true),
        ("http://a.hub.invalid/", "hub.invalid", true),
        ("http://ahub.invalid/", "hub.invalid", false),
        ("http://hub.invalid/", "*", true),
        ("http://hub.invalid/", " * ", true),
        ("http://hub.invalid/", "foo,*", false),
        ("http://hub.invalid/", "*.invalid", false),
        ("http://hub.invalid/", "foo hub.invalid", true),
        ("http://hub.invalid/", "foo , hub.invalid", true),
        ("http://hub.invalid/", "foo,,hub.invalid", true),
        ("http://hub.invalid./", "hub.invalid", true),
        ("http://hub.invalid/", "hub.invalid.", true),
        ("http://HUB.invalid/", "hub.INVALID", true),
        ("http://hub.invalid/", "invalid", true),
        ("http://hub.invalid/", "hub", false),
        ("http://hub.invalid/", ".", false),
        ("http://127.0.0.2:1/", "127.0.0.0/8", true),
        ("http://127.0.0.2:1/", "127.0.0.2", true),
        ("http://127.0.0.2:1/", "127.0.0", false),
        ("http://127.0.0.2:1/", "0.0.2", false),
        ("http://127.0.0.2:1/", "10.0.0.0/0", false),
        ("http://127.0.0.2:1/", "127.0.0.3/31", true),
        ("http://127.0.0.2:1/", "127.0.0.2/33", false),
        ("http://[::1]:1/", "::1", true),
        ("http://[::1]:1/", "0:0:0:0:0:0:0:1", true),
        // Later than 7.88, or ours.
        ("http://[::1]:1/", "[::1]", true),
        ("http://[::1]:1/", "::/64", true),
        ("http://[::1]:1/", "fe80::/10", false),
        ("http://[fe80::7]/", "fe80::/10", true),
        ("http://[::1]:1/", "[::1]:1", true),
        ("http://[::1]:1/", "[::1]:2", false),
        ("http://hub.invalid:81/", "hub.invalid:81", true),
        ("http://hub.invalid:81/", "hub.invalid:80", false),
        ("https://hub.invalid/", "hub.invalid:443", true),
        ("http://127.0.0.2:1/", "127.0.0.2:1", true),
    ] {
        let pairs = [("ALL_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", list)];
        assert_eq!(
            variable(&pairs, url).is_none(),
            direct,
            "{url} with NO_PROXY={list}"
        );
    }
    if !cfg!(windows) {
        let pairs = [
            ("ALL_PROXY", "http://x:1"),
            ("NO_PROXY", "*"),
            ("no_proxy", "other"),
        ];
        assert_eq!(variable(&pairs, "http://hub.invalid/"), Some("ALL_PROXY"));
    }
}

#[test]
fn addresses_are_read_with_the_defaults_of_curl() {
    use ProxyProtocol::{Http, Https, Socks4, Socks4A, Socks5, Socks5h};
    let ada = |password: &str| Some(("ada".to_owned(), password.to_owned()));
    for (value, protocol, host, port, credentials) in [
        ("127.0.0.1", Http, "127.0.0.1", 1080, None),
        ("proxy.invalid:3128", Http, "proxy.invalid", 3128, None),
        (
            "HTTP://proxy.invalid:3128/",
            Http,
            "proxy.invalid",
            3128,
            None,
        ),
        ("https://proxy.invalid", Https, "proxy.invalid", 443, None),
        ("socks://h:1", Socks4, "h", 1, None),
        ("socks4a://h", Socks4A, "h", 1080, None),
        ("socks5://[::1]:7", Socks5, "[::1]", 7, None),
        (
            "socks5h://ada:p%40%3A%2Fss@h",
            Socks5h,
            "h",
            1080,
            ada("p@:/ss"),
        ),
        ("ada@h:1", Http, "h", 1, ada("")),
        ("http://ada:p@ss@h:1", Http, "h", 1, ada("p@ss")),
    ] {
        let route = ProxyServer::parse("ALL_PROXY", value).unwrap();
        assert_eq!(
            (
                route.protocol,
                route.host.as_str(),
                route.port,
                &route.credentials
            ),
            (protocol, host, port, &credentials),
            "{value}"
        );
        let ureq = route.to_ureq().unwrap();
        assert_eq!((ureq.host(), ureq.port()), (host, port), "{value}");
        let said = ureq.username().zip(ureq.password());
        let expected = credentials
            .as_ref()
            .map(|(user, word)| (user.as_str(), word.as_str()));
        assert_eq!(said, expected, "{value}");
    }
}

#[test]
fn what_is_no_proxy_is_an_error_that_names_the_variable_and_hides_the_password() {
    for (value, why) in [
        ("ftp://h:1", "kind is none of http,"),
        ("http://", "no host and port"),
        ("http://h:99999", "no host and port"),
        ("http://h:0", "no host and port"),
        ("http://h:", "no host and port"),
        ("127.0.0.1:", "no host and port"),
        ("http:/127.0.0.1:21001", "no host and port"),
        ("http://a b:1", "no host and port"),
        ("http://ada:secret@", "no host and port"),
        ("http://ada:secret%ff@h:1", "cannot be decoded"),
        ("http://ada:secret%0a@h:1", "cannot be decoded"),
        ("socks4://ada:secret@h:1", "SOCKS4 with a user"),
        ("wat://ada:secret@h:1", "kind is none of http,"),
    ] {
        let proxies = proxies(&[("ALL_PROXY", value)]);
        let error = proxies
            .proxy_for(&"https://hub.invalid/".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("ALL_PROXY is `") && error.contains(why),
            "{value}: {error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }
    let route = ProxyServer::parse("ALL_PROXY", "http://ada:secret@h:1").unwrap();
    assert!(!format!("{route} {route:?}").contains("secret"));
}
