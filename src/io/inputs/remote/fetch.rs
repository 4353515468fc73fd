//! Fetches the bytes of a [`RemotePhoto`]: one GET request with redirects and proxies, limits on size, time and memory,
//! and messages that say what to do when it fails.

use std::io::{self, Read};
use std::time::Instant;

use ureq::Body;
use ureq::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, LOCATION};
use ureq::http::{Response, Uri};

use super::{CONNECT_TIMEOUT, RemotePhoto};
use crate::error::{Error, FileFault, Result};
use crate::io::inputs::sniff::{self, FileKind};
use crate::system::http::proxy::ProxyServer;
use crate::system::http::{self, MAX_REDIRECTS};
use crate::system::{interrupt, memory};

impl RemotePhoto {
    /// Fetches the bytes; if they are not an image, only the first 4 KiB. Twice their number must fit into
    /// `max_memory`, since they are copied once while decoding.
    ///
    /// # Errors
    /// Names the address, and says what went wrong: the network is forbidden, the server cannot be reached, has no such
    /// file or sends a web page, or the photo is too large, takes too long or is truncated; [`Error::Interrupted`].
    pub fn fetch(&self, max_memory: u64) -> Result<Vec<u8>> {
        let name = self.display_address.display().to_string();
        self.fetcher
            .access
            .check(&name, "fetch it elsewhere and name the file")
            .map_err(|error| {
                self.failed(error.to_string().trim_start_matches(&name).trim_start())
            })?;
        let photo = self.clone();
        interrupt::wait_for(move || photo.fetch_now(max_memory))?.map_err(|why| self.failed(why))
    }

    /// The error of this photo, with its address.
    fn failed(&self, why: impl Into<String>) -> Error {
        Error::file_with_fault(&self.display_address, why, FileFault::Network)
    }

    /// Fetches the bytes on the calling thread.
    ///
    /// # Errors
    /// What went wrong, as a part of a sentence about the address.
    fn fetch_now(&self, max_memory: u64) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + self.fetcher.timeout;
        let response = self.send_request(deadline)?;
        let header = |name: &str| http::header(&response, name);
        if let Some(encoding) = header(CONTENT_ENCODING.as_str()).filter(|it| it != "identity") {
            return Err(format!(
                "the server sent it packed ({encoding}), which was not asked for"
            ));
        }
        let promised: Option<u64> =
            header(CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok());
        self.check_size(promised.unwrap_or(0), max_memory)?;
        let mut body = response.into_body().into_reader();
        let mut bytes = Vec::new();
        let mut read = |bytes: &mut Vec<u8>, count: u64| {
            let read = body.by_ref().take(count).read_to_end(bytes);
            read.map_err(|error| self.explain_broken_body(&error, bytes.len(), promised))
        };
        read(&mut bytes, sniff::HEAD_BYTES as u64)?;
        match sniff::identify(&bytes) {
            FileKind::Other if is_web_page(&bytes) => {
                return Err("the server sent a web page, not an image".into());
            }
            FileKind::Other
            | FileKind::Tar
            | FileKind::Clip(_)
            | FileKind::UnsupportedPicture(_) => {
                return Ok(bytes);
            }
            _ => {}
        }
        let limit = self.fetcher.max_bytes.saturating_add(1);
        read(&mut bytes, limit.saturating_sub(sniff::HEAD_BYTES as u64))?;
        let length = bytes.len() as u64;
        self.check_size(length, max_memory)?;
        match promised.filter(|promised| *promised != length) {
            Some(promised) => Err(format!(
                "{length} of {promised} bytes arrived; try again later"
            )),
            None => Ok(bytes),
        }
    }

    /// Sends the request and follows redirects; credentials go to the origin of the address only.
    fn send_request(&self, deadline: Instant) -> Result<Response<Body>, String> {
        let mut url = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let uri: Uri = url
                .parse()
                .map_err(|_| "the server redirects to what is no address".to_owned())?;
            let route = self.fetcher.proxies.proxy_for(&uri);
            let route = route.map_err(|error| error.to_string())?;
            let time_left = deadline.saturating_duration_since(Instant::now());
            if time_left.is_zero() {
                return Err(self.explain_timeout());
            }
            let connect_timeout = CONNECT_TIMEOUT.min(self.fetcher.timeout);
            let agent = &self.fetcher.agent;
            let mut request = http::request(agent, &url, &uri, route.as_ref(), connect_timeout)
                .map_err(|error| error.to_string())?
                .config()
                .timeout_global(Some(time_left))
                .timeout_recv_response(Some(time_left))
                .timeout_per_read(Some(time_left))
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
            let location = http::header(&response, LOCATION.as_str()).unwrap_or_default();
            url = http::resolve_redirect(&url, &location)
                .ok_or_else(|| "the server redirects to what is no address".to_owned())?;
        }
        Err(format!(
            "the server redirects more than {MAX_REDIRECTS} times"
        ))
    }

    /// Checks that `bytes` bytes do not exceed the maximum size of a download, and that twice that number does not
    /// exceed `max_memory`.
    fn check_size(&self, bytes: u64, max_memory: u64) -> Result<(), String> {
        let max_bytes = self.fetcher.max_bytes;
        if bytes > max_bytes {
            return Err(format!(
                "has more than the {} that a photo from an address may have (raise it with --max-download)",
                memory::format_bytes(max_bytes)
            ));
        }
        let twice = bytes.saturating_mul(2);
        match twice > max_memory {
            true => Err(memory::over_limit_reason(twice, max_memory)),
            false => Ok(()),
        }
    }

    /// The message for a photo that took longer than allowed.
    fn explain_timeout(&self) -> String {
        format!(
            "did not arrive within {} s (--download-timeout gives it more)",
            self.fetcher.timeout.as_secs_f64()
        )
    }

    /// The message for a body that broke off after `received` bytes.
    fn explain_broken_body(
        &self,
        error: &io::Error,
        received: usize,
        promised: Option<u64>,
    ) -> String {
        match http::is_timeout(error) {
            true => self.explain_timeout(),
            false => match promised {
                Some(promised) => format!(
                    "the connection broke at {received} of {promised} bytes ({error}); try again later"
                ),
                None => {
                    format!("the connection broke at {received} bytes ({error}); try again later")
                }
            },
        }
    }

    /// The message for a request without a response.
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

/// The message for a response with a status other than 200.
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

/// Whether bytes are an HTML page, which servers send for instance if a login is needed.
pub(super) fn is_web_page(bytes: &[u8]) -> bool {
    let head = bytes.trim_ascii_start();
    let starts_with = |text: &[u8]| {
        head.get(..text.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    starts_with(b"<!doctype html") || starts_with(b"<html")
}
