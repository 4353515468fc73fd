//! How addresses are parsed, shown and refused.

use super::fetch::is_web_page;
use super::*;

fn remote(text: &str) -> Result<RemotePhoto> {
    let fetcher = Fetcher::new(NetworkAccess::Allowed, 1000, Duration::from_secs(1)).unwrap();
    RemotePhoto::new(text, None, &Arc::new(fetcher))
}

fn shown(text: &str) -> String {
    remote(text)
        .unwrap()
        .display_address()
        .display()
        .to_string()
}

#[test]
fn what_lets_somebody_in_is_not_shown() {
    assert_eq!(
        shown("HTTPS://ada:pass@host.example:8080/a.jpg?x=1#part"),
        "https://***@host.example:8080/a.jpg?x=1"
    );
    assert_eq!(
        shown("https://b.example/a?X-Amz-Signature=ff00&id=3&token=t"),
        "https://b.example/a?X-Amz-Signature=***&id=3&token=***"
    );
    let remote = remote("https://ada:p%40ss@host.example/a.jpg").unwrap();
    assert_eq!(remote.credentials.as_deref(), Some("Basic YWRhOnBAc3M="));
    assert!(!format!("{remote:?}").contains("ss@"));
    assert!(!remote.url.contains("ada"));
}

#[test]
fn names_are_those_of_the_last_part() {
    for (url, name, folders) in [
        ("http://h/x/a%20b.jpg?w=100", "a b.jpg", 3),
        ("http://h.example", "h.example", 1),
        ("http://h/x/", "x", 2),
        ("http://h/..%2F..%2Fetc", ".._.._etc", 2),
        ("http://h/%2e%2e/a:b.jpg", "a_b.jpg", 2),
        ("http://h/grün.png", "grün.png", 2),
    ] {
        let remote = remote(url).unwrap();
        assert_eq!(remote.name(), PathBuf::from(name), "{url}");
        assert_eq!(remote.host_and_path().len(), folders, "{url}");
    }
    assert_ne!(
        remote("http://h/a?x=1").unwrap().short_digest(),
        remote("http://h/a?x=2").unwrap().short_digest()
    );
}

#[test]
fn the_same_address_is_the_same_photo() {
    assert_eq!(
        remote("http://h/a#1").unwrap(),
        remote("http://h/a#2").unwrap()
    );
    assert_eq!(
        remote("http://u:p@h/a").unwrap(),
        remote("http://h/a").unwrap()
    );
    assert_ne!(
        remote("http://h/a?1").unwrap(),
        remote("http://h/a?2").unwrap()
    );
}

#[test]
fn what_cannot_be_asked_is_refused() {
    for (text, why) in [
        ("ftp://h/a.jpg", "only those of http:// and https://"),
        ("s3://bucket/a.jpg", "only those of http:// and https://"),
        ("http://", "no address"),
        ("http://h:99999/a.jpg", "no address"),
        ("http:///a.jpg", "no address"),
    ] {
        let error = remote(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    assert!(is_address("https://h/a") && is_address("s3://b/a"));
    assert!(!is_address("C://a") && !is_address("a b://c") && !is_address("a/b"));
}

#[test]
fn pages_are_told_from_images() {
    assert!(is_web_page(b"\r\n <!DOCTYPE html><html>") && is_web_page(b"<html lang=en>"));
    assert!(!is_web_page(b"<htm") && !is_web_page(b"words"));
}
