//! HTTP requests through ureq, with the system's certificates, time limits and proxies. Callers follow redirects
//! themselves ([`resolve_redirect`]), so that a token never reaches another host.

pub mod network_access;
pub mod proxy;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::config::{Config, IpFamily};
use ureq::http::header::{HOST, PROXY_AUTHORIZATION};
use ureq::http::uri::Authority;
use ureq::http::{Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::WithoutBody;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, RustlsConnector, TcpConnector};
use ureq::{Agent, ProxyProtocol, RequestBuilder};

use crate::error::{Error, Result};
pub use network_access::NetworkAccess;
use proxy::ProxyServer;
use proxy::absolute_form::AbsoluteFormConnector;

/// Maximum number of redirects of one request.
pub const MAX_REDIRECTS: usize = 10;

/// A GET request of `url` (`uri` is the same, parsed), direct or through the proxy `route`. `timeout` is that of each
/// step of a plain HTTP request through an HTTP proxy; other requests have the timeouts of `agent`.
///
/// # Errors
/// If the proxy cannot be used.
pub fn request(
    agent: &Agent,
    url: &str,
    uri: &Uri,
    route: Option<&ProxyServer>,
    timeout: Duration,
) -> Result<RequestBuilder<WithoutBody>> {
    Ok(match route {
        Some(route) if route.uses_absolute_form(uri) => absolute_form_request(timeout, route, uri),
        Some(route) => {
            let proxy = route.to_ureq()?;
            // SOCKS4 supports IPv4 addresses only.
            let family = match route.protocol {
                ProxyProtocol::Socks4 if !route.host.starts_with('[') => IpFamily::Ipv4Only,
                _ => IpFamily::Any,
            };
            let config = agent.get(url).config();
            config.proxy(Some(proxy)).ip_family(family).build()
        }
        None => agent.get(url),
    })
}

/// The error for a proxy that requires credentials or rejects those given (status 407).
pub fn proxy_auth_error(route: &ProxyServer) -> Error {
    let what = match route.credentials {
        Some(_) => "does not accept the user and password that it holds",
        None => "asks for a user and a password",
    };
    Error::Download(format!(
        "{route} {what} (407); write them into {} as http://USER:PASSWORD@HOST:PORT",
        route.variable
    ))
}

/// A GET request of `uri` in absolute form (RFC 9112), sent to the HTTP proxy `route`.
fn absolute_form_request(
    timeout: Duration,
    route: &ProxyServer,
    uri: &Uri,
) -> RequestBuilder<WithoutBody> {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let connector =
        ().chain(TcpConnector::default())
            .chain(RustlsConnector::default())
            .chain(AbsoluteFormConnector {
                server: format!("http://{authority}"),
            });
    let agent = Agent::with_parts(config(timeout), connector, DefaultResolver::default());
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = agent
        .get(format!("{}{path}", route.address()))
        .header(HOST, authority);
    if let Some((user, password)) = &route.credentials {
        let both = BASE64_STANDARD.encode(format!("{user}:{password}"));
        request = request.header(PROXY_AUTHORIZATION, format!("Basic {both}"));
    }
    request
}

/// Whether a request of `uri` is protected from eavesdropping: sent over TLS, or within this machine.
pub fn is_private(uri: &Uri, route: Option<&ProxyServer>) -> bool {
    let host = |uri: &Uri| is_this_machine(uri.host().unwrap_or_default());
    uri.scheme_str() == Some("https")
        || host(uri) && route.is_none_or(|route| is_this_machine(&route.host))
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// Configuration of a client with the system's certificate store and `timeout` for each step; status codes and
/// redirects are left to the caller.
pub fn config(timeout: Duration) -> Config {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        // Set for each request; otherwise ureq would read the environment by rules of its own.
        .proxy(None)
        .user_agent(concat!("dino/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(timeout))
        .timeout_connect(Some(timeout))
        .timeout_recv_response(Some(timeout))
        .timeout_per_read(Some(timeout))
        // The caller follows redirects: the size and digest are in the headers of the first response, and the token
        // must not reach another host.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .build()
}

/// Whether an established connection ended early, so that another attempt may succeed; name resolution, refused
/// connections and bad certificates would fail again.
pub fn is_connection_lost(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}

/// Whether a read ran into a timeout, the system's or ureq's own.
pub fn is_timeout(error: &io::Error) -> bool {
    let wrapped = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(wrapped, Some(ureq::Error::Timeout(_)))
        || matches!(
            error.kind(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
        )
}

/// The value of the header `name`; `None` if it is missing or not ASCII.
pub fn header<T>(response: &Response<T>, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// Whether two addresses have the same scheme, host and port: only then is the token sent.
pub fn is_same_origin(a: &str, b: &str) -> bool {
    let parts = |url: &str| {
        url.parse::<Uri>()
            .ok()
            .map(|uri| (uri.scheme().cloned(), uri.authority().cloned()))
    };
    parts(a).is_some() && parts(a) == parts(b)
}

/// Whether the host is followed by a colon but no valid port, such as `:99999`, `:0` or an empty one: the `http` crate
/// reads those as no port, and the default port would be used.
pub fn has_invalid_port(authority: &Authority) -> bool {
    let whole = authority.as_str();
    let place = whole.rsplit_once('@').map_or(whole, |(_, place)| place);
    match place.strip_prefix(authority.host()) {
        Some("") => false,
        Some(port) => {
            let digits = port.strip_prefix(':').unwrap_or_default();
            // `parse` accepts a leading plus sign.
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            !is_number || digits.parse::<u16>().map_or(true, |port| port == 0)
        }
        None => true,
    }
}

/// The absolute URL of a redirect from `base` to `location`; `None` for other schemes than http and https, invalid
/// ports, and relative locations that do not begin with `/`.
pub fn resolve_redirect(base: &str, location: &str) -> Option<String> {
    if location.starts_with("//") {
        let base: Uri = base.parse().ok()?;
        return resolve_redirect("", &format!("{}:{location}", base.scheme_str()?));
    }
    let to: Uri = location.parse().ok()?;
    match to.scheme_str() {
        Some("http" | "https") => {
            let is_good = !to.authority().is_none_or(has_invalid_port);
            is_good.then(|| location.to_owned())
        }
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
            resolve_redirect(base, "/c/d?e=f").unwrap(),
            "https://hub.example/c/d?e=f"
        );
        assert_eq!(
            resolve_redirect(base, "https://cdn.example/x").unwrap(),
            "https://cdn.example/x"
        );
        assert_eq!(resolve_redirect(base, "file:///etc/passwd"), None);
        assert_eq!(resolve_redirect(base, ""), None);
        assert_eq!(
            resolve_redirect(base, "//cdn.example/x").unwrap(),
            "https://cdn.example/x"
        );
        for port in ["80800", "99999", "0", ""] {
            assert_eq!(
                resolve_redirect(base, &format!("https://cdn.example:{port}/x")),
                None
            );
        }
        let port = "https://[::1]:8443/x";
        assert_eq!(resolve_redirect(base, port).unwrap(), port);
    }

    #[test]
    fn the_token_goes_over_tls_or_within_the_machine() {
        let private = |uri: &str, proxy: Option<&str>| {
            let route = proxy.map(|proxy| ProxyServer::parse("ALL_PROXY", proxy).unwrap());
            is_private(&uri.parse().unwrap(), route.as_ref())
        };
        for uri in [
            "https://hub.example/x",
            "http://127.0.0.1:8080/x",
            "http://[::1]/x",
            "http://LocalHost/x",
        ] {
            assert!(private(uri, None), "{uri}");
        }
        for uri in [
            "http://hub.example/x",
            "http://10.0.0.1/x",
            "http://localhost.example/x",
        ] {
            assert!(!private(uri, None), "{uri}");
        }
        assert!(private(
            "https://hub.example/x",
            Some("http://proxy.example:1")
        ));
        assert!(private("http://localhost/x", Some("http://127.0.0.1:1")));
        assert!(!private(
            "http://localhost/x",
            Some("http://proxy.example:1")
        ));
    }

    #[test]
    fn the_token_stays_with_its_host() {
        assert!(is_same_origin(
            "https://hub.example/x",
            "https://hub.example"
        ));
        for other in [
            "https://cdn.example/x",
            "http://hub.example/x",
            "https://hub.example:8443/x",
            "https://hub.example.evil/x",
        ] {
            assert!(!is_same_origin(other, "https://hub.example"), "{other}");
        }
    }
}
