//! Photos at http and https URLs ("addresses"): fetched into memory when they are decoded, never written to disk.
//!
//! A [`RemotePhoto`] is parsed from an address; [`fetch`] gets its bytes through a [`Fetcher`], [`address`] hides
//! passwords and signatures in what is shown.

mod address;
mod fetch;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use ureq::Agent;
use ureq::http::Uri;

use crate::error::{Error, Result};
use crate::system::environment::EnvVariables;
use crate::system::files::Digest;
use crate::system::http::proxy::ProxySettings;
use crate::system::http::{self, NetworkAccess};

use address::{file_name, mask_query};

pub use address::is_address;
pub(super) use address::mask_address;

/// Time limit for connecting to a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Characters that are invalid in an address but often typed; they are percent-encoded.
const ESCAPED_CHARACTERS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// Fetches photos: the limits on each, and the connections and proxies of a run.
#[derive(Debug)]
pub struct Fetcher {
    /// Whether the network may be used.
    access: NetworkAccess,
    /// The proxies of the environment.
    proxies: ProxySettings,
    agent: Agent,
    /// Maximum size of a photo in bytes.
    max_bytes: u64,
    /// Time limit for one photo, from the first request to the last byte.
    timeout: Duration,
}

/// A photo at an address. Two are equal if address and page are.
#[derive(Clone)]
pub struct RemotePhoto {
    /// The address without user, password and fragment, percent-encoded.
    url: String,
    /// The value of the header Authorization, if the address names a user.
    credentials: Option<String>,
    /// The address as it may be shown, without secrets.
    display_address: PathBuf,
    /// The requested page, counted from 1; 0 if none was requested.
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
        // No password may appear in a log.
        write!(
            f,
            "Remote({}, {})",
            self.display_address.display(),
            self.page
        )
    }
}

impl Fetcher {
    /// A fetcher that allows each photo `max_bytes` bytes and the time `timeout`, and uses the proxies of the
    /// environment.
    ///
    /// # Errors
    /// If a proxy variable is not valid text.
    pub fn new(access: NetworkAccess, max_bytes: u64, timeout: Duration) -> Result<Self> {
        Ok(Fetcher {
            access,
            proxies: ProxySettings::from_variables(&EnvVariables::from_process())?,
            agent: http::config(CONNECT_TIMEOUT.min(timeout)).into(),
            max_bytes,
            timeout,
        })
    }
}

impl RemotePhoto {
    /// The photo at the address `text`; `page`, counted from 1, is decoded if there are several.
    ///
    /// # Errors
    /// If the address is invalid or not of http or https; the message hides its secrets.
    pub fn new(text: &str, page: Option<u32>, fetcher: &Arc<Fetcher>) -> Result<Self> {
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let scheme = scheme.to_ascii_lowercase();
        let user_shown = if user.is_some() { "***@" } else { "" };
        let shown = format!("{scheme}://{user_shown}{host}{}", mask_query(path));
        let wrong = |why: &str| Error::file(&shown, why);
        if scheme != "http" && scheme != "https" {
            return Err(wrong(
                "is no file, and of addresses only those of http:// and https:// are fetched",
            ));
        }
        let url = format!("{scheme}://{host}{path}");
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

    /// The address for messages: user, password and secret query values are replaced by `***`, and the fragment is
    /// dropped.
    pub fn display_address(&self) -> &Path {
        &self.display_address
    }

    /// The requested page, counted from 1; 0 if none was requested.
    pub fn page(&self) -> u32 {
        self.page
    }

    /// The key that identifies the address among those of a run.
    pub(super) fn identity(&self) -> PathBuf {
        PathBuf::from(&self.url)
    }

    /// A file name for its outputs: the last segment of its path, or its host if it has no path.
    pub fn name(&self) -> PathBuf {
        let mut parts = self.host_and_path();
        parts.pop().unwrap_or_else(|| "address".into())
    }

    /// Its host and the segments of its path, each as a valid file name.
    pub fn host_and_path(&self) -> Vec<PathBuf> {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.split('?').next().unwrap_or_default();
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.filter_map(file_name).map(PathBuf::from).collect()
    }

    /// Eight hexadecimal digits of a digest of the address, to distinguish its outputs from those of another with the
    /// same path.
    pub fn short_digest(&self) -> String {
        let digest = Digest::of_bytes(self.url.as_bytes()).to_string();
        digest.chars().take(8).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
