//! The proxy of a request, by curl's variables and rules. A proxy that cannot be used is an error, never a direct
//! connection.
//!
//! ureq reads the variables too, but ignores values that it cannot parse, takes `ALL_PROXY` before `HTTPS_PROXY` and
//! has other rules for `NO_PROXY`; so the proxy is set for each request.

pub mod absolute_form;

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

use crate::error::{Error, Result};
use crate::system::environment::{EnvSetting, EnvVariables};

/// As in curl, `http_proxy` is read in lower case only: a web server gives a `Proxy:` header to its programs as
/// `HTTP_PROXY`.
const HTTP_PROXY_VARIABLES: [&str; 3] = ["http_proxy", "all_proxy", "ALL_PROXY"];
const HTTPS_PROXY_VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const NO_PROXY_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// curl's default port of a proxy.
const PORT: u16 = 1080;

/// The proxies that the environment names.
#[derive(Debug, Clone, Default)]
pub struct ProxySettings {
    http: Option<EnvSetting<String>>,
    https: Option<EnvSetting<String>>,
    no_proxy: Option<EnvSetting<String>>,
    has_ignored_http_proxy: bool,
}

/// The proxy of one request.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyServer {
    /// The variable that names it.
    pub variable: &'static str,
    /// The protocol spoken with it.
    pub protocol: ProxyProtocol,
    /// Its host; IPv6 in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password, percent-decoded.
    pub credentials: Option<(String, String)>,
}

impl ProxySettings {
    /// The proxies of the environment.
    ///
    /// # Errors
    /// If a variable is not UTF-8.
    pub fn from_variables(variables: &EnvVariables) -> Result<Self> {
        let own = |names: &[&'static str]| -> Result<Option<EnvSetting<String>>> {
            let setting = variables.first(names)?;
            Ok(setting.map(|EnvSetting { variable, value }| EnvSetting {
                variable,
                value: value.to_owned(),
            }))
        };
        let http = own(&HTTP_PROXY_VARIABLES)?;
        Ok(ProxySettings {
            has_ignored_http_proxy: http.is_none() && variables.text("HTTP_PROXY")?.is_some(),
            http,
            https: own(&HTTPS_PROXY_VARIABLES)?,
            no_proxy: own(&NO_PROXY_VARIABLES)?,
        })
    }

    /// The proxy for a request of `uri`; `None` means a direct connection.
    ///
    /// # Errors
    /// If the variable holds no proxy that can be used.
    pub fn proxy_for(&self, uri: &Uri) -> Result<Option<ProxyServer>> {
        let setting = match uri.scheme_str() {
            Some("https") => &self.https,
            _ => &self.http,
        };
        let Some(setting) = setting else {
            return Ok(None);
        };
        match self.is_exempt(uri) {
            true => Ok(None),
            false => ProxyServer::parse(setting.variable, &setting.value).map(Some),
        }
    }

    /// Whether a proxy for `uri` is named only by `HTTP_PROXY`, whose upper-case form is ignored as in curl.
    pub fn ignores_http_proxy(&self, uri: &Uri) -> bool {
        self.has_ignored_http_proxy && uri.scheme_str() == Some("http") && !self.is_exempt(uri)
    }

    /// The proxies for http and for https, in this order, or the errors in them.
    pub fn all(&self) -> [Result<Option<ProxyServer>>; 2] {
        [&self.http, &self.https].map(|setting| {
            let parse = |it: &EnvSetting<String>| ProxyServer::parse(it.variable, &it.value);
            setting.as_ref().map(parse).transpose()
        })
    }

    /// The value of `NO_PROXY`: hosts that are connected to directly.
    pub fn exempt(&self) -> Option<&EnvSetting<String>> {
        self.no_proxy.as_ref()
    }

    fn is_exempt(&self, uri: &Uri) -> bool {
        let Some(list) = &self.no_proxy else {
            return false;
        };
        if list.value == "*" {
            return true;
        }
        let host = uri.host().unwrap_or_default().trim_end_matches('.');
        let usual = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let port = uri.port_u16().unwrap_or(usual);
        let mut entries = list
            .value
            .split([',', ' ', '\t'])
            .filter(|entry| !entry.is_empty());
        entries.any(|entry| covers(entry, host, port))
    }
}

/// Whether an entry of `NO_PROXY` covers `host`: a name covers itself and its subdomains, an address itself, and a
/// network its addresses. An entry with a port (an extension to curl's rules) covers that port only.
fn covers(entry: &str, host: &str, port: u16) -> bool {
    let host = bare(host);
    let address: Option<IpAddr> = host.parse().ok();
    let (entry, only) = match entry.rsplit_once(':') {
        // The colons of an IPv6 address without brackets do not separate a port.
        Some((name, digits)) if name.ends_with(']') || !name.contains(':') => {
            match digits.parse::<u16>() {
                Ok(only) => (name, Some(only)),
                Err(_) => (entry, None),
            }
        }
        _ => (entry, None),
    };
    if only.is_some_and(|only| only != port) {
        return false;
    }
    let entry = bare(entry);
    if let Some(address) = address {
        return match entry.split_once('/') {
            None => entry.parse() == Ok(address),
            Some((network, bits)) => match (network.trim_end_matches(']').parse(), bits.parse()) {
                (Ok(network), Ok(bits)) => in_network(address, network, bits),
                _ => false,
            },
        };
    }
    let entry = entry.strip_suffix('.').unwrap_or(entry);
    let entry = entry.strip_prefix('.').unwrap_or(entry);
    let (entry, host) = (entry.to_ascii_lowercase(), host.to_ascii_lowercase());
    match host.strip_suffix(&entry) {
        Some(before) => !entry.is_empty() && (before.is_empty() || before.ends_with('.')),
        None => false,
    }
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').unwrap_or(host);
    inner.strip_suffix(']').unwrap_or(inner)
}

/// Whether the first `bits` bits of two addresses of one family agree; for 0 bits, as in curl, all must.
fn in_network(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let agree = |a: u128, b: u128, width: u32| match bits {
        0 => a == b,
        _ if bits > width => false,
        _ => (a ^ b) >> (width - bits) == 0,
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => agree(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => agree(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

impl ProxyServer {
    /// Reads the address of a proxy: `[scheme://][user[:password]@]host[:port]`, user and password percent-encoded.
    ///
    /// # Errors
    /// If it cannot be parsed, or its protocol is not supported; the message shows no password.
    pub fn parse(variable: &'static str, value: &str) -> Result<Self> {
        let shown = match value.rsplit_once('@') {
            Some((_, host)) => format!("***@{host}"),
            None => value.to_owned(),
        };
        let wrong = |why: &str| {
            Error::Download(format!(
                "{variable} is `{shown}`, {why}; expected a proxy such as http://host:3128 or socks5h://host:1080 \
                 (nothing was fetched past it)"
            ))
        };
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        let protocol = match scheme.to_ascii_lowercase().as_str() {
            "http" => ProxyProtocol::Http,
            "https" => ProxyProtocol::Https,
            // As in curl.
            "socks" | "socks4" => ProxyProtocol::Socks4,
            "socks4a" => ProxyProtocol::Socks4A,
            "socks5" => ProxyProtocol::Socks5,
            "socks5h" => ProxyProtocol::Socks5h,
            _ => {
                return Err(wrong(
                    "whose kind is none of http, https, socks4, socks4a, socks5 and socks5h",
                ));
            }
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let decoded = |text: &str| match percent_decode_str(text).decode_utf8() {
            Ok(text) if !text.contains(char::is_control) => Ok(text.into_owned()),
            _ => Err(wrong("whose user or password cannot be decoded")),
        };
        let credentials = match user.filter(|user| !user.is_empty()) {
            None => None,
            Some(_) if protocol == ProxyProtocol::Socks4 || protocol == ProxyProtocol::Socks4A => {
                return Err(wrong("and SOCKS4 with a user is not supported"));
            }
            Some(user) => {
                let (user, password) = user.split_once(':').unwrap_or((user, ""));
                Some((decoded(user)?, decoded(password)?))
            }
        };
        let no_place = || wrong("which has no host and port that can be read");
        let uri: Uri = format!("http://{place}/").parse().map_err(|_| no_place())?;
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(no_place)?.to_owned();
        let port = match uri.port_u16() {
            Some(0) => return Err(no_place()),
            Some(port) => port,
            // The `http` crate reads an invalid port, such as 99999 or an empty one, as no port.
            None if place.len() == host.len() => match protocol {
                ProxyProtocol::Https => 443,
                _ => PORT,
            },
            None => return Err(no_place()),
        };
        Ok(ProxyServer {
            variable,
            protocol,
            host,
            port,
            credentials,
        })
    }

    /// Whether the proxy's protocol is a version of SOCKS.
    pub fn is_socks(&self) -> bool {
        !matches!(self.protocol, ProxyProtocol::Http | ProxyProtocol::Https)
    }

    /// Whether a request of `uri` is sent to the proxy in absolute form; otherwise the proxy opens a tunnel.
    pub fn uses_absolute_form(&self, uri: &Uri) -> bool {
        uri.scheme_str() == Some("http") && !self.is_socks()
    }

    /// The proxy as ureq takes it.
    ///
    /// # Errors
    /// If ureq cannot use it.
    pub fn to_ureq(&self) -> Result<Proxy> {
        let mut builder = Proxy::builder(self.protocol)
            .host(&self.host)
            .port(self.port);
        if let Some((user, password)) = &self.credentials {
            builder = builder.username(user).password(password);
        }
        builder
            .build()
            .map_err(|error| Error::Download(format!("{self} cannot be used ({error})")))
    }

    /// Its address without user and password.
    pub fn address(&self) -> String {
        let scheme = match self.protocol {
            ProxyProtocol::Http => "http",
            ProxyProtocol::Https => "https",
            ProxyProtocol::Socks4 => "socks4",
            ProxyProtocol::Socks4A => "socks4a",
            ProxyProtocol::Socks5 => "socks5",
            _ => "socks5h",
        };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

impl std::fmt::Display for ProxyServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the proxy {} ({})", self.address(), self.variable)
    }
}

impl std::fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A password must not get into a log.
        write!(f, "Route({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
