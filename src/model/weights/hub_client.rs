//! Requests to a hub or host: redirects, the size and version that the server states, and failures in words.
//!
//! Headers are those of huggingface_hub: `X-Linked-Size` and `X-Linked-Etag` of the first answer describe the file
//! behind the redirect.

use serde::{Deserialize, Serialize};
use ureq::http::header::{AUTHORIZATION, ETAG, LOCATION, RANGE};
use ureq::http::{Response, Uri};
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, RequestBuilder};

use crate::error::{Error, Result};
use crate::model::weights::hub::Hub;
use crate::system::http;
use crate::system::http::proxy::ProxyServer;

/// Why a transfer stopped.
pub enum TransferFailure {
    /// A retry would fail in the same manner.
    Permanent(Error),
    /// The connection broke or stalled.
    Retryable(String),
}

impl From<Error> for TransferFailure {
    fn from(error: Error) -> Self {
        TransferFailure::Permanent(error)
    }
}

/// What the server states about a file; kept as JSON beside the partial file, so that only the same version is resumed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteFileInfo {
    /// The URL of the request, before redirects.
    pub url: String,
    /// The version; a SHA-256 in hex digits for LFS files.
    pub etag: Option<String>,
    /// Size of the whole file in bytes.
    pub size: Option<u64>,
}

impl RemoteFileInfo {
    /// Whether bytes received under this description are the beginning of the file of `now`: both must name the same
    /// version.
    pub fn is_same_version(&self, now: &RemoteFileInfo) -> bool {
        let sizes_agree = self
            .size
            .zip(now.size)
            .is_none_or(|(then, now)| then == now);
        self.url == now.url && self.etag.is_some() && self.etag == now.etag && sizes_agree
    }
}

/// HTTP client of one [`Hub`].
pub struct HubClient<'a> {
    hub: &'a Hub,
    agent: Agent,
}

/// One request: its address, its proxy and the first byte of the range.
struct HubRequest<'a> {
    url: &'a str,
    uri: Uri,
    route: Option<ProxyServer>,
    start: u64,
}

impl<'a> HubClient<'a> {
    /// A client of `hub`.
    pub fn new(hub: &'a Hub) -> Self {
        HubClient {
            hub,
            agent: http::config(hub.timeout).into(),
        }
    }

    /// Sentences about settings that have no effect on requests of `url`: an ignored `HTTP_PROXY`, a token that is not
    /// sent.
    pub fn warnings(&self, url: &str) -> Vec<String> {
        let Ok(uri) = url.parse::<Uri>() else {
            return Vec::new();
        };
        let mut remarks = Vec::new();
        if self.hub.proxies.ignores_http_proxy(&uri) {
            remarks.push(
                "HTTP_PROXY is not used, as curl does not use it; the variable is http_proxy in lower case"
                    .to_owned(),
            );
        }
        let route = self.hub.proxies.proxy_for(&uri).ok().flatten();
        if let Some(token) = &self.hub.token
            && !http::is_private(&uri, route.as_ref())
        {
            remarks.push(format!(
                "the token from {} is not sent: {} is no https address, and all on the way could read it",
                token.source, self.hub.endpoint_variable
            ));
        }
        remarks
    }

    /// Asks for the file at the address `file` from byte `start` on, following redirects.
    pub fn get(
        &self,
        file: &str,
        start: u64,
    ) -> Result<(Response<Body>, RemoteFileInfo), TransferFailure> {
        let mut info = RemoteFileInfo {
            url: file.to_owned(),
            ..RemoteFileInfo::default()
        };
        let mut url = file.to_owned();
        for _ in 0..=http::MAX_REDIRECTS {
            let uri: Uri = url.parse().map_err(|_| {
                Error::Download(format!(
                    "{url} is no address; check {}",
                    self.hub.endpoint_variable
                ))
            })?;
            let target = HubRequest {
                route: self.hub.proxies.proxy_for(&uri)?,
                url: &url,
                uri,
                start,
            };
            let response = self
                .request(&target)?
                .call()
                .map_err(|error| self.unreachable(file, &target, error))?;
            if let (407, Some(route)) = (response.status().as_u16(), &target.route) {
                return Err(TransferFailure::Permanent(http::proxy_auth_error(route)));
            }
            let etag = http::header(&response, "x-linked-etag")
                .or_else(|| http::header(&response, ETAG.as_str()));
            info.etag = info
                .etag
                .or(etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned()));
            info.size = info
                .size
                .or(http::header(&response, "x-linked-size").and_then(|size| size.parse().ok()));
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((response, info));
            }
            let location = http::header(&response, LOCATION.as_str()).unwrap_or_default();
            url = http::resolve_redirect(&url, &location).ok_or_else(|| {
                TransferFailure::Permanent(Error::Download(format!(
                    "{url}: the server redirects to `{location}`; expected an address"
                )))
            })?;
        }
        Err(TransferFailure::Permanent(Error::Download(format!(
            "{file}: more than {} redirects; check {}",
            http::MAX_REDIRECTS,
            self.hub.endpoint_variable
        ))))
    }

    /// The request with its proxy, range and token; the token goes only to the hub itself and only where nobody can
    /// read it.
    fn request(&self, target: &HubRequest<'_>) -> Result<RequestBuilder<WithoutBody>> {
        let HubRequest {
            url,
            uri,
            route,
            start,
        } = target;
        let mut request = http::request(&self.agent, url, uri, route.as_ref(), self.hub.timeout)?;
        if *start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        if let Some(token) = self.hub.token.as_ref().filter(|_| {
            http::is_same_origin(url, &self.hub.endpoint) && http::is_private(uri, route.as_ref())
        }) {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.secret));
        }
        Ok(request)
    }

    /// The failure of a request for `file` that got no answer.
    fn unreachable(
        &self,
        file: &str,
        target: &HubRequest<'_>,
        error: ureq::Error,
    ) -> TransferFailure {
        let mut host = target.uri.host().unwrap_or(target.url).to_owned();
        if let Some(route) = &target.route {
            host = format!("{host}, through {route},");
        }
        let seconds = self.hub.timeout.as_secs_f64();
        match (error, &target.route) {
            (ureq::Error::Timeout(_), _) => {
                TransferFailure::Retryable(format!("{host} did not answer within {seconds} s"))
            }
            (ureq::Error::Io(error), _) if http::is_timeout(&error) => {
                TransferFailure::Retryable(format!("{host} did not answer within {seconds} s"))
            }
            (ureq::Error::Io(error), _) if http::is_connection_lost(&error) => {
                TransferFailure::Retryable(format!("{host}: {error}"))
            }
            (ureq::Error::Protocol(error), _) => {
                TransferFailure::Retryable(format!("{host}: {error}"))
            }
            (ureq::Error::ConnectProxyFailed(why), Some(route)) if why.contains(" 407") => {
                TransferFailure::Permanent(http::proxy_auth_error(route))
            }
            (error, Some(route)) => TransferFailure::Permanent(Error::Download(format!(
                "{host} cannot be reached ({error}); check {} (NO_PROXY names hosts that are asked without a proxy), or \
                 fetch {file} elsewhere and run `{}`",
                route.variable, self.hub.import_command
            ))),
            (error, None) => TransferFailure::Permanent(Error::Download(format!(
                "{host} cannot be reached ({error}); check the network, HTTPS_PROXY and {}, or fetch {file} elsewhere and \
                 run `{}`",
                self.hub.endpoint_variable, self.hub.import_command
            ))),
        }
    }
}
