//! The Hugging Face hub as the environment describes it.
//!
//! hf-hub 0.5 finds the token and the files that other programs have already cached under `HF_HOME`. The bytes are
//! fetched by this crate's own `transfer`: hf-hub's agents trust a built-in list of certificate authorities where the
//! system's store should be asked, and have no timeouts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::{Cache, Repo};

use crate::error::{Error, Result};
use crate::weights::{Events, transfer};

/// How to reach the hub.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The server, without a slash at the end.
    pub endpoint: String,
    /// A token for gated or private repositories.
    pub token: Option<String>,
    /// The cache of other Hugging Face programs, looked into before anything is fetched.
    pub cache: Option<Cache>,
    /// How long to wait for a connection, and for the next byte.
    pub timeout: Duration,
    /// How often a broken transfer is taken up again before giving up.
    pub retries: u32,
    /// The variable that names the server, for messages.
    pub variable: &'static str,
    /// The command that takes a file fetched in another way, for messages.
    pub instead: &'static str,
}

/// An environment variable that is there and not empty.
fn text(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// `DINO_HTTP_TIMEOUT`, or 30 seconds.
fn timeout() -> Result<Duration> {
    let seconds = match text("DINO_HTTP_TIMEOUT") {
        None => 30.0,
        Some(value) => value
            .parse()
            .ok()
            .filter(|seconds| (0.1..=86_400.0).contains(seconds))
            .ok_or_else(|| {
                Error::Usage(format!(
                    "DINO_HTTP_TIMEOUT is `{value}`; expected seconds between 0.1 and 86400"
                ))
            })?,
    };
    Ok(Duration::from_secs_f64(seconds))
}

/// The address in `variable`, else `usual`, without a slash at the end.
fn address(variable: &str, usual: &str) -> Result<String> {
    let endpoint = text(variable).unwrap_or_else(|| usual.to_owned());
    match endpoint.starts_with("http://") || endpoint.starts_with("https://") {
        true => Ok(endpoint.trim_end_matches('/').to_owned()),
        false => Err(Error::Usage(format!(
            "{variable} is `{endpoint}`; expected an address such as {usual}"
        ))),
    }
}

impl Hub {
    /// The hub as the environment describes it: `HF_ENDPOINT`, `HF_TOKEN` (else the token file), `HF_HOME`, and
    /// `DINO_HTTP_TIMEOUT` in seconds (30).
    pub fn from_env() -> Result<Self> {
        // Without HF_HOME the cache is under the home folder, and hf-hub panics where there is none.
        let cache =
            (text("HF_HOME").is_some() || etcetera::home_dir().is_ok()).then(Cache::from_env);
        Ok(Hub {
            endpoint: address("HF_ENDPOINT", "https://huggingface.co")?,
            token: text("HF_TOKEN").or_else(|| cache.as_ref().and_then(Cache::token)),
            cache,
            timeout: timeout()?,
            retries: 3,
            variable: "HF_ENDPOINT",
            instead: "dino models import FILE",
        })
    }

    /// A plain host of files at the address in the environment variable `variable`, else at `usual`; it is shown no token.
    ///
    /// # Errors
    /// If the variable holds no address.
    pub fn of_files(variable: &'static str, usual: &str, instead: &'static str) -> Result<Self> {
        Ok(Hub {
            endpoint: address(variable, usual)?,
            token: None,
            cache: None,
            timeout: timeout()?,
            retries: 3,
            variable,
            instead,
        })
    }

    /// The file as another program has cached it.
    pub fn cached(&self, repo: &str, file: &str) -> Option<PathBuf> {
        self.cache
            .as_ref()?
            .repo(Repo::model(repo.to_owned()))
            .get(file)
    }

    /// Downloads `file` of `repo` to `partial`, going on where an earlier run of the same file stopped. On success the
    /// file is whole: of the size that the server promised, and of its SHA-256 where the server names one.
    ///
    /// `Ok(false)` when the repository has no such file.
    pub fn download(
        &self,
        repo: &str,
        file: &str,
        partial: &Path,
        events: &mut Events<'_>,
    ) -> Result<bool> {
        let url = format!("{}/{repo}/resolve/main/{file}", self.endpoint);
        transfer::fetch(self, repo, file, url, partial, events)
    }

    /// The same for the file at `path` of a plain host.
    pub fn download_file(
        &self,
        path: &str,
        partial: &Path,
        events: &mut Events<'_>,
    ) -> Result<bool> {
        let url = format!("{}/{path}", self.endpoint);
        let label = path.rsplit('/').next().unwrap_or(path);
        transfer::fetch(self, label, label, url, partial, events)
    }
}
