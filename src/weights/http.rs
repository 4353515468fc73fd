//! Requests to the hub: the system's certificates, timeouts, redirects, and failures in words.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::http::header::{AUTHORIZATION, ETAG, LOCATION, RANGE};
use ureq::http::{Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::error::{Error, Result};
use crate::weights::Hub;

const MAX_REDIRECTS: usize = 10;

/// Why a transfer stopped.
pub enum Failure {
    /// Trying again will not help.
    Final(Error),
    /// The connection broke or stalled.
    Broken(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Final(error)
    }
}

/// What the server says about the file; kept beside the partial file so that only the same file is resumed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// The address that was asked.
    pub url: String,
    /// The version; a SHA-256 for LFS files.
    pub etag: Option<String>,
    /// All bytes.
    pub size: Option<u64>,
}

impl Promise {
    /// Whether bytes that came under this promise begin the file of `now`: the servers must name its version.
    pub fn is_of(&self, now: &Promise) -> bool {
        let sizes_agree = self
            .size
            .zip(now.size)
            .is_none_or(|(then, now)| then == now);
        self.url == now.url && self.etag.is_some() && self.etag == now.etag && sizes_agree
    }
}

/// Asks a hub for files.
pub struct Client<'a> {
    hub: &'a Hub,
    agent: Agent,
}

impl<'a> Client<'a> {
    /// A client of `hub`.
    pub fn new(hub: &'a Hub) -> Self {
        Client {
            hub,
            agent: agent(hub.timeout),
        }
    }

    /// Asks for the file at the address `file` from byte `start` on, following redirects.
    pub fn get(&self, file: &str, start: u64) -> Result<(Response<Body>, Promise), Failure> {
        let mut promise = Promise {
            url: file.to_owned(),
            ..Promise::default()
        };
        let mut url = file.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.agent.get(&url);
            if start > 0 {
                request = request.header(RANGE, format!("bytes={start}-"));
            }
            if let Some(token) = self
                .hub
                .token
                .as_ref()
                .filter(|_| same_host(&url, &self.hub.endpoint))
            {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request
                .call()
                .map_err(|error| self.unreachable(file, &url, error))?;
            let etag =
                header(&response, "x-linked-etag").or_else(|| header(&response, ETAG.as_str()));
            promise.etag = promise
                .etag
                .or(etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned()));
            promise.size = promise
                .size
                .or(header(&response, "x-linked-size").and_then(|size| size.parse().ok()));
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((response, promise));
            }
            let location = header(&response, LOCATION.as_str()).unwrap_or_default();
            url = join(&url, &location).ok_or_else(|| {
                Failure::Final(Error::Download(format!(
                    "{url}: the server redirects to `{location}`; expected an address"
                )))
            })?;
        }
        Err(Failure::Final(Error::Download(format!(
            "{file}: more than {MAX_REDIRECTS} redirects; check {}",
            self.hub.variable
        ))))
    }

    /// The failure for a request at `url`, on the way to `file`, that got no answer.
    fn unreachable(&self, file: &str, url: &str, error: ureq::Error) -> Failure {
        let host = url
            .parse::<Uri>()
            .ok()
            .and_then(|uri| uri.host().map(str::to_owned))
            .unwrap_or_else(|| url.to_owned());
        let seconds = self.hub.timeout.as_secs_f64();
        match error {
            ureq::Error::Timeout(_) => {
                Failure::Broken(format!("{host} did not answer within {seconds} s"))
            }
            ureq::Error::Io(error) if timed_out(&error) => {
                Failure::Broken(format!("{host} did not answer within {seconds} s"))
            }
            ureq::Error::Io(error) if broke_off(&error) => {
                Failure::Broken(format!("{host}: {error}"))
            }
            ureq::Error::Protocol(error) => Failure::Broken(format!("{host}: {error}")),
            error => Failure::Final(Error::Download(format!(
                "{host} cannot be reached ({error}); check the network, HTTPS_PROXY and {}, or fetch {file} elsewhere and \
                 run `{}`",
                self.hub.variable, self.hub.instead
            ))),
        }
    }
}

/// A client that asks the system's certificate store, waits no longer than told, and leaves decisions to its caller.
fn agent(timeout: Duration) -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .user_agent(concat!("dino/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(timeout))
        .timeout_connect(Some(timeout))
        .timeout_recv_response(Some(timeout))
        .timeout_per_read(Some(timeout))
        // Redirects are followed by hand: the size and digest stand in the first answer, and the token must not
        // travel to another host.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .build()
        .into()
}

/// Whether a connection was there and ended early; a host that has no address, refuses or shows a bad certificate will do
/// so again.
fn broke_off(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}

/// Whether a read ran into a timeout, the system's or ureq's own.
pub fn timed_out(error: &io::Error) -> bool {
    let wrapped = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(wrapped, Some(ureq::Error::Timeout(_)))
        || matches!(
            error.kind(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
        )
}

/// A header's text.
pub fn header<T>(response: &Response<T>, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// Whether two addresses have one scheme, host and port: only then does the token go along.
fn same_host(a: &str, b: &str) -> bool {
    let parts = |url: &str| {
        url.parse::<Uri>()
            .ok()
            .map(|uri| (uri.scheme().cloned(), uri.authority().cloned()))
    };
    parts(a).is_some() && parts(a) == parts(b)
}

/// The address that a redirect from `base` to `location` means; only http and https.
fn join(base: &str, location: &str) -> Option<String> {
    let to: Uri = location.parse().ok()?;
    match to.scheme_str() {
        Some("http" | "https") => Some(location.to_owned()),
        Some(_) => None,
        None => {
            let base: Uri = base.parse().ok()?;
            let path = location.strip_prefix('/')?;
            Some(format!(
                "{}://{}/{path}",
                base.scheme_str()?,
                base.authority()?
            ))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_joined() {
        let base = "https://hub.example/a/resolve/main/b";
        assert_eq!(
            join(base, "/c/d?e=f").unwrap(),
            "https://hub.example/c/d?e=f"
        );
        assert_eq!(
            join(base, "https://cdn.example/x").unwrap(),
            "https://cdn.example/x"
        );
        assert_eq!(join(base, "file:///etc/passwd"), None);
        assert_eq!(join(base, ""), None);
    }

    #[test]
    fn the_token_stays_with_its_host() {
        assert!(same_host("https://hub.example/x", "https://hub.example"));
        for other in [
            "https://cdn.example/x",
            "http://hub.example/x",
            "https://hub.example:8443/x",
            "https://hub.example.evil/x",
        ] {
            assert!(!same_host(other, "https://hub.example"), "{other}");
        }
    }
}
