//! Files from the Hugging Face hub, resumable and checked.
//!
//! hf-hub 0.5 finds the token and the files that other programs have already cached under `HF_HOME`. The bytes are
//! fetched here: its agents trust a built-in list of certificate authorities, where this one asks the system's store,
//! and it has no timeouts. The protocol is that of huggingface_hub's `file_download.py`: `resolve/main/FILE` answers or
//! redirects with the file's size and, for LFS files, its SHA-256.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::{Cache, Repo};
use serde::{Deserialize, Serialize};
use ureq::http::Uri;
use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RANGE};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::error::{Error, Result};
use crate::weights::{Event, Events, digest};

const MAX_REDIRECTS: usize = 10;

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
}

impl Hub {
    /// The hub as the environment describes it: `HF_ENDPOINT`, `HF_TOKEN` (else the token file), `HF_HOME`, and
    /// `DINO_HTTP_TIMEOUT` in seconds (30).
    pub fn from_env() -> Result<Self> {
        let text = |name: &str| {
            std::env::var(name)
                .ok()
                .filter(|value| !value.trim().is_empty())
        };
        // Without HF_HOME the cache is under the home folder, and hf-hub panics where there is none.
        let cache =
            (text("HF_HOME").is_some() || etcetera::home_dir().is_ok()).then(Cache::from_env);
        let timeout = match text("DINO_HTTP_TIMEOUT") {
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
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Ok(Hub {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: text("HF_TOKEN").or_else(|| cache.as_ref().and_then(Cache::token)),
            cache,
            timeout: Duration::from_secs_f64(timeout),
            retries: 3,
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
        let mut transfer = Transfer::new(self, repo, file, partial)?;
        let mut attempt = 0;
        loop {
            let had = transfer.have();
            match transfer.run(events) {
                Ok(found) => return Ok(found),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Broken(why)) => {
                    // Progress earns new attempts: a bad line may break a large file many times.
                    attempt = if transfer.have() > had {
                        1
                    } else {
                        attempt + 1
                    };
                    let have = transfer.have();
                    if attempt > self.retries {
                        return Err(Error::Download(format!(
                            "{}: {why} with {have} bytes on the disk; run the same command again to go on from there",
                            transfer.url
                        )));
                    }
                    events(Event::Note(&format!(
                        "{file}: {why}, going on from byte {have}"
                    )))?;
                    std::thread::sleep(
                        Duration::from_millis(300 * u64::from(attempt)).min(self.timeout),
                    );
                }
            }
        }
    }

    fn agent(&self) -> Agent {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("dino/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(self.timeout))
            .timeout_connect(Some(self.timeout))
            .timeout_recv_response(Some(self.timeout))
            .timeout_per_read(Some(self.timeout))
            // Redirects are followed by hand: the size and digest stand in the first answer, and the token must not
            // travel to another host.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .build()
            .into()
    }
}

/// Why a transfer stopped.
enum Failure {
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
struct Promise {
    url: String,
    etag: Option<String>,
    size: Option<u64>,
}

impl Promise {
    /// Whether bytes that came under this promise begin the file of `now`: the servers must name its version.
    fn is_of(&self, now: &Promise) -> bool {
        let sizes_agree = self
            .size
            .zip(now.size)
            .is_none_or(|(then, now)| then == now);
        self.url == now.url && self.etag.is_some() && self.etag == now.etag && sizes_agree
    }
}

/// One file on its way.
struct Transfer<'a> {
    hub: &'a Hub,
    agent: Agent,
    repo: &'a str,
    file: &'a str,
    url: String,
    partial: &'a Path,
    promise_path: PathBuf,
}

impl<'a> Transfer<'a> {
    fn new(hub: &'a Hub, repo: &'a str, file: &'a str, partial: &'a Path) -> Result<Self> {
        let url = format!("{}/{repo}/resolve/main/{file}", hub.endpoint);
        let promise_path = partial.with_file_name(format!(
            "{}.json",
            partial.file_name().unwrap_or_default().display()
        ));
        Ok(Transfer {
            hub,
            agent: hub.agent(),
            repo,
            file,
            url,
            partial,
            promise_path,
        })
    }

    /// Bytes on the disk.
    fn have(&self) -> u64 {
        fs::metadata(self.partial).map_or(0, |file| file.len())
    }

    fn forget(&self) {
        let _ = fs::remove_file(self.partial);
        let _ = fs::remove_file(&self.promise_path);
    }

    /// One attempt, from where the last one stopped.
    fn run(&mut self, events: &mut Events<'_>) -> Result<bool, Failure> {
        let before: Option<Promise> = fs::read(&self.promise_path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        if before.is_none() {
            self.forget();
        }
        let mut start = self.have();
        let (mut response, mut promise) = self.request(start)?;
        let same = before.as_ref().is_some_and(|before| before.is_of(&promise));
        if start > 0
            && same
            && response.status() == 416
            && before.is_some_and(|it| it.size == Some(start))
        {
            // All of it came before; only the check was left to do.
            return self.finish(&Promise {
                size: Some(start),
                ..promise
            });
        }
        if start > 0 && (response.status() == 416 || response.status() == 206 && !same) {
            self.forget();
            start = 0;
            (response, promise) = self.request(0)?;
        }
        let total = match response.status().as_u16() {
            200 => {
                start = 0;
                header(&response, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok())
            }
            206 => match header(&response, CONTENT_RANGE.as_str())
                .and_then(|text| content_range(&text))
            {
                Some((from, total)) if from == start => total,
                _ => {
                    return Err(Failure::Broken(
                        "the server answered with another part than was asked for".to_owned(),
                    ));
                }
            },
            404 => return Ok(false),
            status => return Err(self.refused(status)),
        };
        let total: Option<u64> = total.or(promise.size);
        if let (Some(total), Some(promised)) = (total, promise.size)
            && total != promised
        {
            let why = format!(
                "the server sends {total} bytes where it promised {promised}; try again later"
            );
            return Err(Failure::Final(Error::Download(format!(
                "{}: {why}",
                self.url
            ))));
        }
        promise.size = promise.size.or(total);
        self.receive(response.into_body(), start, &promise, events)?;
        self.finish(&promise)
    }

    /// Checks what has arrived; after that it is no longer partial.
    fn finish(&self, promise: &Promise) -> Result<bool, Failure> {
        self.check(promise)?;
        let _ = fs::remove_file(&self.promise_path);
        Ok(true)
    }

    /// Asks for the file from byte `start` on, following redirects.
    fn request(&self, start: u64) -> Result<(ureq::http::Response<Body>, Promise), Failure> {
        let mut promise = Promise {
            url: self.url.clone(),
            ..Promise::default()
        };
        let mut url = self.url.clone();
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
                .map_err(|error| self.unreachable(&url, error))?;
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
            "{}: more than {MAX_REDIRECTS} redirects; check HF_ENDPOINT",
            self.url
        ))))
    }

    /// Writes the body behind the first `start` bytes.
    fn receive(
        &self,
        body: Body,
        start: u64,
        promise: &Promise,
        events: &mut Events<'_>,
    ) -> Result<(), Failure> {
        let io = |error: io::Error| Failure::Final(Error::io(self.partial, &error));
        let mut out = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(self.partial)
            .map_err(io)?;
        out.set_len(start).map_err(io)?;
        out.seek_to(start).map_err(io)?;
        let text = serde_json::to_vec(promise).map_err(|error| io(error.into()))?;
        fs::write(&self.promise_path, text).map_err(io)?;
        let mut reader = body.into_reader();
        let mut buffer = vec![0; 1 << 18];
        let mut done = start;
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.stalled(&error)),
            };
            out.write_all(&buffer[..read]).map_err(io)?;
            done += read as u64;
            events(Event::Progress {
                label: self.repo,
                done,
                total: promise.size,
            })?;
            if promise.size.is_some_and(|size| done > size) {
                break;
            }
        }
        events(Event::ProgressEnd)?;
        match promise.size {
            Some(size) if done < size => Err(Failure::Broken(format!(
                "the connection ended at {done} of {size} bytes"
            ))),
            _ => Ok(()),
        }
    }

    /// Compares the whole file with what was promised; a wrong one is not kept.
    fn check(&self, promise: &Promise) -> Result<(), Failure> {
        let have = self.have();
        let wrong = |why: String| {
            self.forget();
            Failure::Final(Error::Download(format!(
                "{}: {why}; nothing was kept, try again later",
                self.url
            )))
        };
        if let Some(size) = promise.size.filter(|size| *size != have) {
            return Err(wrong(format!("got {have} bytes, expected {size}")));
        }
        let sha256 =
            |etag: &&String| etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(expected) = promise.etag.as_ref().filter(sha256) {
            let found = digest::file_sha256(self.partial)?;
            if found != *expected {
                return Err(wrong(format!(
                    "got a file with SHA-256 {found}, expected {expected}"
                )));
            }
        }
        Ok(())
    }

    /// The error for a status that is no success.
    fn refused(&self, status: u16) -> Failure {
        let Transfer {
            repo, file, url, ..
        } = self;
        match status {
            401 | 403 => {
                let token = match self.hub.token {
                    Some(_) => {
                        "HF_TOKEN (or the saved token) was not accepted; make one that can read it"
                    }
                    None => "set HF_TOKEN to a token that can read it",
                };
                Failure::Final(Error::Download(format!(
                    "{repo}: the server denies {file} ({status}); {token}"
                )))
            }
            429 | 500..=599 => Failure::Broken(format!("the server is busy or failing ({status})")),
            _ => Failure::Final(Error::Download(format!(
                "{url}: the server answered {status}; check HF_ENDPOINT"
            ))),
        }
    }

    /// The error for a request that got no answer.
    fn unreachable(&self, url: &str, error: ureq::Error) -> Failure {
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
            ureq::Error::Io(error) if error.kind() != io::ErrorKind::ConnectionRefused => {
                Failure::Broken(format!("{host}: {error}"))
            }
            ureq::Error::Protocol(error) => Failure::Broken(format!("{host}: {error}")),
            error => Failure::Final(Error::Download(format!(
                "{host} cannot be reached ({error}); check the network, HTTPS_PROXY and HF_ENDPOINT, or fetch {}/{} \
                 elsewhere and run `dino models import FILE`",
                self.repo, self.file
            ))),
        }
    }

    /// The failure for a body that stopped coming.
    fn stalled(&self, error: &io::Error) -> Failure {
        match timed_out(error) {
            true => Failure::Broken(format!(
                "no byte came for {} s",
                self.hub.timeout.as_secs_f64()
            )),
            false => Failure::Broken(format!("the connection broke ({error})")),
        }
    }
}

/// Whether a read ran into a timeout, the system's or ureq's own.
fn timed_out(error: &io::Error) -> bool {
    let wrapped = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(wrapped, Some(ureq::Error::Timeout(_)))
        || matches!(
            error.kind(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
        )
}

fn header<T>(response: &ureq::http::Response<T>, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// `"bytes 5-9/10"` as `(5, Some(10))`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
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

/// `File::seek` under a name that says from where.
trait SeekTo {
    fn seek_to(&mut self, byte: u64) -> io::Result<u64>;
}

impl SeekTo for File {
    fn seek_to(&mut self, byte: u64) -> io::Result<u64> {
        io::Seek::seek(self, io::SeekFrom::Start(byte))
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

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("bytes */10"), None);
    }
}
