//! Photos at addresses: fetched into memory when their turn comes, and never put on the disk.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use ureq::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, LOCATION};
use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use crate::error::{Error, FileFault, Result};
use crate::io::inputs::sniff::{self, FileKind};
use crate::system::environment::EnvVariables;
use crate::system::files::Digest;
use crate::system::http::proxy::{ProxyServer, ProxySettings};
use crate::system::http::{self, MAX_REDIRECTS, NetworkAccess};
use crate::system::{interrupt, memory};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What an address does not have and is written into it all the same.
const ESCAPED_CHARACTERS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// Parameters of addresses that let whoever has them in, by their names in lower case.
const SECRET_PARAMETERS: [&str; 4] = ["api_key", "code", "key", "sig"];

/// Parts of the names of others.
const SECRET_PARAMETER_PARTS: [&str; 12] = [
    "accesskey",
    "apikey",
    "auth",
    "credential",
    "hdnt",
    "hmac",
    "jwt",
    "passw",
    "secret",
    "session",
    "signature",
    "token",
];

/// What fetching may take, and how it is done.
#[derive(Debug)]
pub struct Fetcher {
    access: NetworkAccess,
    proxies: ProxySettings,
    agent: Agent,
    /// Bytes of a photo, at most.
    max_bytes: u64,
    /// For all of a photo, from the first word to the last byte.
    timeout: Duration,
}

/// A photo at an address.
#[derive(Clone)]
pub struct RemotePhoto {
    /// Without user, password and mark.
    url: String,
    /// What is sent as user and password.
    credentials: Option<String>,
    /// The address as it may be shown.
    display_address: PathBuf,
    /// Which of several pages is asked for; 0 if none is.
    page: u32,
    fetcher: Arc<Fetcher>,
}

impl PartialEq for RemotePhoto {
    fn eq(&self, other: &Self) -> bool {
        (&self.url, self.page) == (&other.url, other.page)
    }
}

impl Eq for RemotePhoto {}

impl fmt::Debug for RemotePhoto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A password must not get into a log.
        write!(
            f,
            "Remote({}, {})",
            self.display_address.display(),
            self.page
        )
    }
}

impl Fetcher {
    /// Fetches what `access` allows, up to `most` bytes and for up to `timeout` a photo, through the proxies of the
    /// environment.
    ///
    /// # Errors
    /// If a variable is no text.
    pub fn new(access: NetworkAccess, most: u64, timeout: Duration) -> Result<Self> {
        Ok(Fetcher {
            access,
            proxies: ProxySettings::from_variables(&EnvVariables::from_process())?,
            agent: http::config(CONNECT_TIMEOUT.min(timeout)).into(),
            max_bytes: most,
            timeout,
        })
    }
}

/// Whether an input is an address, of whatever kind.
pub fn is_address(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.len() > 1
            && scheme
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c))
    })
}

impl RemotePhoto {
    /// The photo at the address `text`, of which the page with this number is asked for, counted from 1.
    ///
    /// # Errors
    /// Names the address that cannot be asked.
    pub fn new(text: &str, page: Option<u32>, fetcher: &Arc<Fetcher>) -> Result<Self> {
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let scheme = scheme.to_ascii_lowercase();
        let user_shown = if user.is_some() { "***@" } else { "" };
        let shown = format!("{scheme}://{user_shown}{place}{}", mask_query(path));
        let wrong = |why: &str| Error::file(&shown, why);
        if scheme != "http" && scheme != "https" {
            return Err(wrong(
                "is no file, and of addresses only those of http:// and https:// are fetched",
            ));
        }
        let url = format!("{scheme}://{place}{path}");
        let url = utf8_percent_encode(&url, ESCAPED_CHARACTERS).to_string();
        let uri: Option<Uri> = url.parse().ok();
        let authority = uri.as_ref().and_then(Uri::authority);
        if authority.is_none_or(|all| all.host().is_empty() || http::has_invalid_port(all)) {
            return Err(wrong("is no address that can be asked"));
        }
        let decoded = |user: &str| percent_decode_str(user).collect::<Vec<u8>>();
        let basic = |user: &str| {
            let user = decoded(user);
            let colon: &[u8] = if user.contains(&b':') { b"" } else { b":" };
            format!("Basic {}", BASE64_STANDARD.encode([&user, colon].concat()))
        };
        Ok(RemotePhoto {
            url,
            credentials: user.filter(|user| !user.is_empty()).map(basic),
            display_address: shown.into(),
            page: page.unwrap_or(0),
            fetcher: fetcher.clone(),
        })
    }

    /// The address as it may be shown: without user, password and signatures.
    pub fn display_address(&self) -> &Path {
        &self.display_address
    }

    /// Which of several pages is asked for; 0 if none is.
    pub fn page(&self) -> u32 {
        self.page
    }

    /// What tells it from other addresses.
    pub(super) fn identity(&self) -> PathBuf {
        PathBuf::from(&self.url)
    }

    /// A name for its outputs: the last part of its path, else its host.
    pub fn name(&self) -> PathBuf {
        let mut folders = self.host_and_path();
        folders.pop().unwrap_or_else(|| "address".into())
    }

    /// Its host, and the parts of its path.
    pub fn host_and_path(&self) -> Vec<PathBuf> {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.split('?').next().unwrap_or_default();
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.filter_map(file_name).map(PathBuf::from).collect()
    }

    /// What tells its outputs from those of another address with the same path: digits of a digest of all of it.
    pub fn short_digest(&self) -> String {
        let digest = Digest::of_bytes(self.url.as_bytes()).to_string();
        digest.chars().take(8).collect()
    }

    /// Fetches it; of what is no image, only the first kilobytes. `memory` is for its bytes twice.
    ///
    /// # Errors
    /// Names the address, and says what went wrong: it is forbidden, nobody answers, there is no such file, it is too large or
    /// takes too long, or ends too soon; [`Error::Interrupted`].
    pub fn fetch(&self, memory: u64) -> Result<Vec<u8>> {
        let name = self.display_address.display().to_string();
        self.fetcher
            .access
            .check(&name, "fetch it elsewhere and name the file")
            .map_err(|error| {
                self.failed(error.to_string().trim_start_matches(&name).trim_start())
            })?;
        let own = self.clone();
        interrupt::wait_for(move || own.fetch_now(memory))?.map_err(|why| self.failed(why))
    }

    fn failed(&self, why: impl Into<String>) -> Error {
        Error::file_with_fault(&self.display_address, why, FileFault::Network)
    }

    fn fetch_now(&self, memory: u64) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + self.fetcher.timeout;
        let response = self.send_request(deadline)?;
        let text = |name: &str| http::header(&response, name);
        if let Some(encoding) = text(CONTENT_ENCODING.as_str()).filter(|it| it != "identity") {
            return Err(format!(
                "the server sent it packed ({encoding}), which was not asked for"
            ));
        }
        let promised: Option<u64> =
            text(CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok());
        self.check_size(promised.unwrap_or(0), memory)?;
        let mut body = response.into_body().into_reader();
        let mut bytes = Vec::new();
        let mut read = |bytes: &mut Vec<u8>, most: u64| {
            let read = body.by_ref().take(most).read_to_end(bytes);
            read.map_err(|error| self.explain_broken_body(&error, bytes.len(), promised))
        };
        read(&mut bytes, sniff::HEAD_BYTES as u64)?;
        match sniff::identify(&bytes) {
            FileKind::Other if is_web_page(&bytes) => {
                return Err("the server sent a web page, not an image".into());
            }
            FileKind::Other | FileKind::Tar | FileKind::Clip(_) | FileKind::Unsuitable(_) => {
                return Ok(bytes);
            }
            _ => {}
        }
        let most = self.fetcher.max_bytes.saturating_add(1);
        read(&mut bytes, most.saturating_sub(sniff::HEAD_BYTES as u64))?;
        let length = bytes.len() as u64;
        self.check_size(length, memory)?;
        match promised.filter(|promised| *promised != length) {
            Some(promised) => Err(format!(
                "{length} of {promised} bytes arrived; try again later"
            )),
            None => Ok(bytes),
        }
    }

    /// Asks for it, and follows redirects.
    fn send_request(&self, deadline: Instant) -> Result<Response<Body>, String> {
        let mut url = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let uri: Uri = url
                .parse()
                .map_err(|_| "the server redirects to what is no address".to_owned())?;
            let route = self.fetcher.proxies.proxy_for(&uri);
            let route = route.map_err(|error| error.to_string())?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.explain_timeout());
            }
            let step = CONNECT_TIMEOUT.min(self.fetcher.timeout);
            let agent = &self.fetcher.agent;
            let mut request = http::request(agent, &url, &uri, route.as_ref(), step)
                .map_err(|error| error.to_string())?
                .config()
                .timeout_global(Some(left))
                .timeout_recv_response(Some(left))
                .timeout_per_read(Some(left))
                .build();
            if let Some(credentials) = &self.credentials
                && http::is_same_origin(&url, &self.url)
            {
                request = request.header(AUTHORIZATION, credentials);
            }
            let response = request
                .call()
                .map_err(|error| self.explain_unreachable(&uri, route.as_ref(), error))?;
            let status = response.status();
            match (status.as_u16(), &route) {
                (200, _) => return Ok(response),
                (407, Some(route)) => return Err(http::proxy_auth_error(route).to_string()),
                (301 | 302 | 303 | 307 | 308, _) => {}
                (code, _) => return Err(explain_status(code, status.canonical_reason())),
            }
            let to = http::header(&response, LOCATION.as_str()).unwrap_or_default();
            url = http::resolve_redirect(&url, &to)
                .ok_or_else(|| "the server redirects to what is no address".to_owned())?;
        }
        Err(format!(
            "the server redirects more than {MAX_REDIRECTS} times"
        ))
    }

    /// Refuses what is larger than allowed.
    fn check_size(&self, bytes: u64, memory: u64) -> Result<(), String> {
        let most = self.fetcher.max_bytes;
        if bytes > most {
            return Err(format!(
                "has more than the {} that a photo from an address may have (raise it with --max-download)",
                memory::format_bytes(most)
            ));
        }
        // It is copied once while it is decoded.
        let twice = bytes.saturating_mul(2);
        match twice > memory {
            true => Err(memory::too_much(twice, memory)),
            false => Ok(()),
        }
    }

    fn explain_timeout(&self) -> String {
        format!(
            "did not arrive within {} s (--download-timeout gives it more)",
            self.fetcher.timeout.as_secs_f64()
        )
    }

    /// Why a body stopped coming.
    fn explain_broken_body(&self, error: &io::Error, have: usize, promised: Option<u64>) -> String {
        match http::is_timeout(error) {
            true => self.explain_timeout(),
            false => match promised {
                Some(promised) => format!(
                    "the connection broke at {have} of {promised} bytes ({error}); try again later"
                ),
                None => format!("the connection broke at {have} bytes ({error}); try again later"),
            },
        }
    }

    /// Why a request got no answer.
    fn explain_unreachable(
        &self,
        uri: &Uri,
        route: Option<&ProxyServer>,
        error: ureq::Error,
    ) -> String {
        let host = uri.host().unwrap_or_default();
        let through = route.map_or(String::new(), |route| format!(", through {route},"));
        match (error, route) {
            (ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve), _) => format!(
                "{host}{through} cannot be reached within {} s",
                CONNECT_TIMEOUT.min(self.fetcher.timeout).as_secs_f64()
            ),
            (ureq::Error::Timeout(_), _) => self.explain_timeout(),
            (ureq::Error::Io(error), _) if http::is_timeout(&error) => self.explain_timeout(),
            (ureq::Error::Io(error), _) if http::is_connection_lost(&error) => {
                format!("{host}{through} broke the connection off ({error}); try again later")
            }
            (ureq::Error::ConnectProxyFailed(why), Some(route)) if why.contains(" 407") => {
                http::proxy_auth_error(route).to_string()
            }
            (error, Some(route)) => format!(
                "{host}{through} cannot be reached ({error}); check {} (NO_PROXY names hosts that are asked without a proxy)",
                route.variable
            ),
            (error, None) => {
                format!(
                    "{host} cannot be reached ({error}); check the address, the network and HTTPS_PROXY"
                )
            }
        }
    }
}

/// Why an answer is none.
fn explain_status(code: u16, reason: Option<&str>) -> String {
    let reason = reason.map_or(String::new(), |reason| {
        format!(", {}", reason.to_lowercase())
    });
    let remedy = match code {
        401 => "; it asks for a user and a password, as in https://USER:PASSWORD@HOST/…",
        403 => "; who asks may not have it",
        404 | 410 => "; check the address",
        429 | 500..=599 => "; try again later",
        _ => "",
    };
    format!("the server answered {code}{reason}{remedy}")
}

/// Whether bytes that are no image are a page, as servers send them where one has to log in.
fn is_web_page(bytes: &[u8]) -> bool {
    let head = bytes.trim_ascii_start();
    let begins = |text: &[u8]| {
        head.get(..text.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    begins(b"<!doctype html") || begins(b"<html")
}

/// What was meant as an address, without anything that may be secret in it.
pub(super) fn mask_address(text: &str) -> String {
    let is_address = text.get(..5).is_some_and(|start| {
        start.eq_ignore_ascii_case("http:") || start.eq_ignore_ascii_case("https")
    });
    if !is_address {
        return text.to_owned();
    }
    let (scheme, rest) = text.split_at(text.find(':').map_or(0, |colon| colon + 1));
    let rest = rest
        .rsplit_once('@')
        .map_or(rest, |(_, host)| host)
        .trim_start_matches('/');
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    format!("{scheme}//{path}")
}

/// A path and query without the values that let whoever has them in.
fn mask_query(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        SECRET_PARAMETERS.contains(&name.as_str())
            || SECRET_PARAMETER_PARTS
                .iter()
                .any(|part| name.contains(part))
    };
    let parameters = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}=***"),
            _ => parameter.to_owned(),
        });
    format!("{path}?{}", parameters.collect::<Vec<_>>().join("&"))
}

/// A part of an address as the name of a file.
fn file_name(part: &str) -> Option<String> {
    let text = percent_decode_str(part).decode_utf8_lossy();
    let is_odd = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
    let name: String = text
        .chars()
        .map(|c| if is_odd(c) { '_' } else { c })
        .collect();
    let is_name = !name.is_empty() && name != "." && name != "..";
    is_name.then_some(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
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
}
