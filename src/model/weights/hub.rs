//! The settings of the Hugging Face hub, from environment variables.
//!
//! [`Hub`] holds the settings; `download` adds its transfers. The crate hf-hub finds the files that other programs have
//! already cached. It does not fetch: its agents trust a built-in list of certificate authorities where the system's
//! store should be asked, and have no timeouts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hf_hub::{Cache, Repo};
use ureq::http::Uri;

use crate::error::{Error, Result};
use crate::model::weights::huggingface::{HubPaths, HubToken};
use crate::system::environment::{EnvSetting, EnvVariables};
use crate::system::http::has_invalid_port;
use crate::system::http::network_access::NetworkAccess;
use crate::system::http::proxy::ProxySettings;

/// How a server of weights is reached: the Hugging Face hub, or a plain host of files.
#[derive(Debug, Clone)]
pub struct Hub {
    /// URL of the server, without a slash at the end.
    pub endpoint: String,
    /// A token for gated or private repositories.
    pub token: Option<HubToken>,
    /// The cache of other Hugging Face programs, searched before anything is fetched.
    pub cache: Option<Cache>,
    /// Longest wait for a connection, and longest wait for the next byte.
    pub timeout: Duration,
    /// Retries in a row without progress before a broken transfer is given up.
    pub retries: u32,
    /// The variable that names the server, for messages.
    pub endpoint_variable: &'static str,
    /// The command that takes a file fetched in another way, for messages.
    pub import_command: String,
    /// Whether anything may be fetched at all.
    pub access: NetworkAccess,
    /// The proxies that requests go through.
    pub proxies: ProxySettings,
    /// Whether warnings about the settings have been given; clones share it.
    pub has_warned: Arc<AtomicBool>,
}

/// URL of the Hugging Face hub.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// `DINO_HTTP_TIMEOUT`, else for the hub `HF_HUB_DOWNLOAD_TIMEOUT`, else 30 seconds.
fn timeout(variables: &EnvVariables, names: &[&'static str]) -> Result<Duration> {
    let Some(EnvSetting { variable, value }) = variables.first(names)? else {
        return Ok(Duration::from_secs(30));
    };
    // 0 is huggingface_hub's word for its default.
    if variable.starts_with("HF_") && value == "0" {
        return Ok(Duration::from_secs(30));
    }
    value
        .parse()
        .ok()
        .filter(|seconds| (0.1..=86_400.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| {
            Error::Usage(format!(
                "{variable} is `{value}`; expected seconds between 0.1 and 86400"
            ))
        })
}

/// The URL in `variable`, else `usual`, without a slash at the end.
///
/// # Errors
/// If the variable holds no http or https URL, or one with a user, a query or a fragment.
pub fn address(variables: &EnvVariables, variable: &'static str, usual: &str) -> Result<String> {
    let Some(value) = variables.text(variable)? else {
        return Ok(usual.to_owned());
    };
    let uri: Option<Uri> = value.parse().ok();
    let scheme = uri.as_ref().and_then(Uri::scheme_str);
    let authority = uri.as_ref().and_then(|uri| uri.authority());
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Error::Usage(format!(
            "{variable} has a user or a password in it, which is not used; write the address without"
        )));
    }
    let wrong = |why: &str| {
        Error::Usage(format!(
            "{variable} is `{value}`{why}; expected an address such as {usual}"
        ))
    };
    let has_host = authority.is_some_and(|authority| !authority.host().is_empty());
    if !matches!(scheme, Some("http" | "https")) || !has_host {
        return Err(wrong(""));
    }
    if authority.is_some_and(has_invalid_port) {
        return Err(wrong(", whose port is no number between 1 and 65535"));
    }
    // The path of a file is written behind it.
    if value.contains(['?', '#']) {
        return Err(wrong(", with a question or a mark behind the path"));
    }
    Ok(value.trim_end_matches('/').to_owned())
}

/// URL of the server that [`Hub::from_variables`] uses.
///
/// # Errors
/// If `HF_ENDPOINT` is no valid URL.
pub fn endpoint(variables: &EnvVariables) -> Result<String> {
    address(variables, "HF_ENDPOINT", DEFAULT_ENDPOINT)
}

impl Hub {
    /// The hub's settings from the environment variables of huggingface_hub: `HF_ENDPOINT`, `HF_TOKEN`,
    /// `HF_TOKEN_PATH`, `HF_HUB_DISABLE_IMPLICIT_TOKEN`, `HF_HUB_CACHE`, `HF_HOME`, `HF_HUB_DOWNLOAD_TIMEOUT` and their
    /// old spellings; and `DINO_HTTP_TIMEOUT` in seconds (default 30).
    ///
    /// # Errors
    /// If a variable cannot be understood.
    pub fn from_env(access: NetworkAccess) -> Result<Self> {
        Hub::from_variables(&EnvVariables::from_process(), access)
    }

    /// As [`Hub::from_env`], with the environment `variables`.
    ///
    /// # Errors
    /// If a variable cannot be understood.
    pub fn from_variables(variables: &EnvVariables, access: NetworkAccess) -> Result<Self> {
        let folders = HubPaths::from_variables(variables)?;
        let token = match &access {
            NetworkAccess::Allowed => HubToken::find(variables, folders.token.as_ref())?,
            // No request is made, so a malformed token does no harm.
            NetworkAccess::Forbidden(_) => None,
        };
        Ok(Hub {
            endpoint: endpoint(variables)?,
            token,
            cache: folders.cache.map(|folder| Cache::new(folder.path)),
            timeout: timeout(variables, &["DINO_HTTP_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"])?,
            retries: 3,
            endpoint_variable: "HF_ENDPOINT",
            import_command: "dino models import FILE".to_owned(),
            access,
            proxies: ProxySettings::from_variables(variables)?,
            has_warned: Arc::default(),
        })
    }

    /// A plain host of files at the URL in the environment variable `variable`, else at `usual`. Requests to it carry
    /// no token; messages name `instead` as the command that takes a file fetched by other means.
    ///
    /// # Errors
    /// If the variable holds no http or https URL, or one with a user, a query or a fragment.
    pub fn plain_host(
        variable: &'static str,
        usual: &str,
        instead: &str,
        access: NetworkAccess,
    ) -> Result<Self> {
        let variables = EnvVariables::from_process();
        Ok(Hub {
            endpoint: address(&variables, variable, usual)?,
            token: None,
            cache: None,
            timeout: timeout(&variables, &["DINO_HTTP_TIMEOUT"])?,
            retries: 3,
            endpoint_variable: variable,
            import_command: instead.to_owned(),
            access,
            proxies: ProxySettings::from_variables(&variables)?,
            has_warned: Arc::default(),
        })
    }

    /// Path of `file` of `repo` in the cache of other Hugging Face programs, if it is there.
    pub fn cached(&self, repo: &str, file: &str) -> Option<PathBuf> {
        self.cache
            .as_ref()?
            .repo(Repo::model(repo.to_owned()))
            .get(file)
    }

    /// The same server, with `command` as the one that takes a file fetched by other means, for messages.
    pub fn with_import_command(&self, command: &str) -> Self {
        Hub {
            import_command: command.to_owned(),
            ..self.clone()
        }
    }

    /// Checks that `file` of `repo` may be fetched, before anything is written for it.
    ///
    /// # Errors
    /// If the network is forbidden, with the flag or variable that forbids it.
    pub fn check(&self, repo: &str, file: &str) -> Result<()> {
        self.check_address(&format!("{file} of {repo}"), &self.url(repo, file))
    }

    /// As [`Hub::check`], for the file at `path` of a plain host.
    ///
    /// # Errors
    /// As [`Hub::check`].
    pub fn check_file(&self, path: &str) -> Result<()> {
        self.check_address(last_part(path), &format!("{}/{path}", self.endpoint))
    }

    pub(super) fn check_address(&self, what: &str, url: &str) -> Result<()> {
        let instead = format!("fetch {url} elsewhere and run `{}`", self.import_command);
        self.access.check(what, &instead)
    }

    pub(super) fn url(&self, repo: &str, file: &str) -> String {
        format!("{}/{repo}/resolve/main/{file}", self.endpoint)
    }
}

/// The name of the file at `path`.
pub(super) fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hub(pairs: &[(&str, &str)]) -> Result<Hub> {
        let home = [("HOME", "/home/ada")];
        let pairs = home.iter().chain(pairs).copied();
        Hub::from_variables(&EnvVariables::from_pairs(pairs), NetworkAccess::Allowed)
    }

    #[test]
    fn the_address_is_checked_and_loses_its_last_slash() {
        for (value, address) in [
            ("", DEFAULT_ENDPOINT),
            (" ", DEFAULT_ENDPOINT),
            ("https://mirror.example/", "https://mirror.example"),
            ("http://127.0.0.1:8080/a/b//", "http://127.0.0.1:8080/a/b"),
            ("HTTPS://mirror.example", "HTTPS://mirror.example"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://mirror.example:65535", "http://mirror.example:65535"),
        ] {
            assert_eq!(hub(&[("HF_ENDPOINT", value)]).unwrap().endpoint, address);
        }
        for value in [
            "mirror.example",
            "https://",
            "ftp://mirror.example",
            "https:///x",
            "http://127.0.0.1:80800",
            "https://mirror.example:99999/a",
            "http://mirror.example:0",
            "http://mirror.example:",
            "http://mirror.example:+80",
            "http://[::1]:",
            "http://mirror.example/?q=1",
            "http://mirror.example/a#b",
        ] {
            let error = hub(&[("HF_ENDPOINT", value)]).unwrap_err().to_string();
            assert!(
                error.contains(&format!("HF_ENDPOINT is `{value}`")),
                "{error}"
            );
        }
        let error = hub(&[("HF_ENDPOINT", "https://ada:secret@mirror.example")]);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("HF_ENDPOINT") && !error.contains("secret"),
            "{error}"
        );
    }

    #[test]
    fn a_token_that_is_none_is_no_matter_offline() {
        let pairs = [("HOME", "/home/ada"), ("HF_TOKEN", "no token")];
        let hub = |access| Hub::from_variables(&EnvVariables::from_pairs(pairs), access);
        assert!(hub(NetworkAccess::Allowed).is_err());
        let offline = hub(NetworkAccess::Forbidden("--offline".into())).unwrap();
        assert_eq!(offline.token, None);
    }

    #[test]
    fn timeouts_are_ours_or_the_hubs() {
        let seconds = |pairs: &[(&str, &str)]| hub(pairs).map(|hub| hub.timeout.as_secs_f64());
        assert_eq!(seconds(&[]).unwrap(), 30.0);
        assert_eq!(seconds(&[("HF_HUB_DOWNLOAD_TIMEOUT", "0")]).unwrap(), 30.0);
        assert_eq!(seconds(&[("HF_HUB_DOWNLOAD_TIMEOUT", "60")]).unwrap(), 60.0);
        let both = [
            ("HF_HUB_DOWNLOAD_TIMEOUT", "60"),
            ("DINO_HTTP_TIMEOUT", "2.5"),
        ];
        assert_eq!(seconds(&both).unwrap(), 2.5);
        let error = seconds(&[("HF_HUB_DOWNLOAD_TIMEOUT", "long")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("HF_HUB_DOWNLOAD_TIMEOUT is `long`"),
            "{error}"
        );
    }
}
