//! One file over HTTP: resumed where it broke off, and checked against the size and SHA-256 that the server states.
//!
//! The protocol is that of huggingface_hub's `file_download.py`: `resolve/main/FILE` answers or redirects with the
//! file's size and, for LFS files, its SHA-256.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use ureq::Body;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE};

use crate::error::{Error, Result};
use crate::model::weights::digest;
use crate::model::weights::events::{FetchEvent, FetchEventSink};
use crate::model::weights::hub::Hub;
use crate::model::weights::hub_client::{HubClient, RemoteFileInfo, TransferFailure};
use crate::model::weights::store_errors::cannot_write;
use crate::system::http::{header, is_timeout};

/// Downloads a file to `partial`, see [`Hub::download`]. `repo` labels the progress; a plain host has it equal to
/// `file`.
pub(super) fn fetch(
    hub: &Hub,
    repo: &str,
    file: &str,
    url: String,
    partial: &Path,
    events: &mut FetchEventSink<'_>,
) -> Result<bool> {
    let what = match repo == file {
        true => file.to_owned(),
        false => format!("{file} of {repo}"),
    };
    hub.check_address(&what, &url)?;
    let mut transfer = Transfer::new(hub, repo, file, url, partial);
    if !hub.has_warned.swap(true, Ordering::Relaxed) {
        for remark in transfer.client.warnings(&transfer.url) {
            events(FetchEvent::Warning(&remark))?;
        }
    }
    let mut attempt = 0;
    loop {
        let had = transfer.bytes_on_disk();
        match transfer.run(events) {
            Ok(found) => return Ok(found),
            Err(TransferFailure::Permanent(error)) => return Err(error),
            Err(TransferFailure::Retryable(why)) => {
                // Only attempts without progress count: a bad line may break a large file many times.
                attempt = if transfer.bytes_on_disk() > had {
                    1
                } else {
                    attempt + 1
                };
                let have = transfer.bytes_on_disk();
                if attempt > hub.retries {
                    let remedy = match have {
                        0 => "; try again later".to_owned(),
                        _ => format!(
                            " with {have} bytes on the disk; run the same command again to go on from there"
                        ),
                    };
                    return Err(Error::Download(format!("{}: {why}{remedy}", transfer.url)));
                }
                match have {
                    0 => events(FetchEvent::Note(&format!("{file}: {why}, trying again")))?,
                    _ => events(FetchEvent::Resumed(&format!(
                        "{file}: {why}, going on from byte {have}"
                    )))?,
                }
                std::thread::sleep(
                    Duration::from_millis(300 * u64::from(attempt)).min(hub.timeout),
                );
            }
        }
    }
}

/// Size in bytes of the file at `url`, `None` where the server does not state it; the body is not read.
pub(super) fn query_size(hub: &Hub, file: &str, url: String) -> Result<Option<u64>> {
    let transfer = Transfer::new(hub, file, file, url, Path::new(file));
    let answer = transfer
        .client
        .get(&transfer.url, 0)
        .and_then(|(response, info)| {
            let length = header(&response, CONTENT_LENGTH.as_str());
            match response.status().as_u16() {
                200 => Ok(info.size.or(length.and_then(|text| text.parse().ok()))),
                404 => Err(TransferFailure::Permanent(Error::Download(format!(
                    "{}: there is no such file (404)",
                    transfer.url
                )))),
                status => Err(transfer.refused(status)),
            }
        });
    answer.map_err(|failure| match failure {
        TransferFailure::Permanent(error) => error,
        TransferFailure::Retryable(why) => Error::Download(format!("{}: {why}", transfer.url)),
    })
}

/// The transfer of one file: its address, the partial file, and the JSON beside it.
struct Transfer<'a> {
    hub: &'a Hub,
    client: HubClient<'a>,
    repo: &'a str,
    file: &'a str,
    url: String,
    partial: &'a Path,
    info_path: PathBuf,
}

impl<'a> Transfer<'a> {
    fn new(hub: &'a Hub, repo: &'a str, file: &'a str, url: String, partial: &'a Path) -> Self {
        let info_path = partial.with_file_name(format!(
            "{}.json",
            partial.file_name().unwrap_or_default().display()
        ));
        Transfer {
            hub,
            client: HubClient::new(hub),
            repo,
            file,
            url,
            partial,
            info_path,
        }
    }

    /// Bytes of the partial file.
    fn bytes_on_disk(&self) -> u64 {
        fs::metadata(self.partial).map_or(0, |file| file.len())
    }

    fn discard_partial(&self) {
        let _ = fs::remove_file(self.partial);
        let _ = fs::remove_file(&self.info_path);
    }

    /// One attempt, from where the last one stopped.
    fn run(&mut self, events: &mut FetchEventSink<'_>) -> Result<bool, TransferFailure> {
        let before: Option<RemoteFileInfo> = fs::read(&self.info_path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        if before.is_none() {
            self.discard_partial();
        }
        let mut start = self.bytes_on_disk();
        let (mut response, mut info) = self.client.get(&self.url, start)?;
        let same = before
            .as_ref()
            .is_some_and(|before| before.is_same_version(&info));
        if start > 0
            && same
            && response.status() == 416
            && before.is_some_and(|it| it.size == Some(start))
        {
            // An earlier run received all of it; only the check is left.
            return self.finish(&RemoteFileInfo {
                size: Some(start),
                ..info
            });
        }
        if start > 0 && (response.status() == 416 || response.status() == 206 && !same) {
            self.discard_partial();
            start = 0;
            (response, info) = self.client.get(&self.url, 0)?;
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
                    return Err(TransferFailure::Retryable(
                        "the server answered with another part than was asked for".to_owned(),
                    ));
                }
            },
            404 => return Ok(false),
            status => return Err(self.refused(status)),
        };
        let total: Option<u64> = total.or(info.size);
        if let (Some(total), Some(promised)) = (total, info.size)
            && total != promised
        {
            let why = format!(
                "the server sends {total} bytes where it promised {promised}; try again later"
            );
            return Err(TransferFailure::Permanent(Error::Download(format!(
                "{}: {why}",
                self.url
            ))));
        }
        info.size = info.size.or(total);
        self.receive(response.into_body(), start, &info, events)?;
        self.finish(&info)
    }

    /// Checks the received file; after that it is complete and its description is removed.
    fn finish(&self, info: &RemoteFileInfo) -> Result<bool, TransferFailure> {
        self.check(info)?;
        let _ = fs::remove_file(&self.info_path);
        Ok(true)
    }

    /// Writes the body behind the first `start` bytes.
    fn receive(
        &self,
        body: Body,
        start: u64,
        info: &RemoteFileInfo,
        events: &mut FetchEventSink<'_>,
    ) -> Result<(), TransferFailure> {
        let io = |error: io::Error| TransferFailure::Permanent(cannot_write(self.partial, &error));
        let mut out = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(self.partial)
            .map_err(io)?;
        out.set_len(start).map_err(io)?;
        out.seek(io::SeekFrom::Start(start)).map_err(io)?;
        let text = serde_json::to_vec(info).map_err(|error| io(error.into()))?;
        fs::write(&self.info_path, text).map_err(io)?;
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
            events(FetchEvent::Progress {
                label: self.repo,
                done,
                total: info.size,
            })?;
            if info.size.is_some_and(|size| done > size) {
                break;
            }
        }
        events(FetchEvent::ProgressEnd)?;
        match info.size {
            Some(size) if done < size => Err(TransferFailure::Retryable(format!(
                "the connection ended at {done} of {size} bytes"
            ))),
            _ => Ok(()),
        }
    }

    /// Compares the file with the stated size and SHA-256; one that differs is deleted.
    fn check(&self, info: &RemoteFileInfo) -> Result<(), TransferFailure> {
        let have = self.bytes_on_disk();
        let wrong = |why: String| {
            self.discard_partial();
            TransferFailure::Permanent(Error::Download(format!(
                "{}: {why}; nothing was kept, try again later",
                self.url
            )))
        };
        if let Some(size) = info.size.filter(|size| *size != have) {
            return Err(wrong(format!("got {have} bytes, expected {size}")));
        }
        let sha256 =
            |etag: &&String| etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(expected) = info.etag.as_ref().filter(sha256) {
            let found = digest::file_sha256(self.partial)?;
            if found != *expected {
                return Err(wrong(format!(
                    "got a file with SHA-256 {found}, expected {expected}"
                )));
            }
        }
        Ok(())
    }

    /// The failure for an HTTP status that is an error.
    fn refused(&self, status: u16) -> TransferFailure {
        let Transfer {
            repo, file, url, ..
        } = self;
        match status {
            401 | 403 => {
                let token = match (self.hub.endpoint_variable, &self.hub.token) {
                    ("HF_ENDPOINT", Some(token)) => format!(
                        "the token from {} was not accepted; make one that can read it, for HF_TOKEN",
                        token.source
                    ),
                    ("HF_ENDPOINT", None) => "set HF_TOKEN to a token that can read it (and unset \
                                              HF_HUB_DISABLE_IMPLICIT_TOKEN if it is set)"
                        .to_owned(),
                    (variable, _) => format!("check {variable}"),
                };
                TransferFailure::Permanent(Error::Download(format!(
                    "{repo}: the server denies {file} ({status}); {token}"
                )))
            }
            429 | 500..=599 => {
                TransferFailure::Retryable(format!("the server is busy or failing ({status})"))
            }
            _ => TransferFailure::Permanent(Error::Download(format!(
                "{url}: the server answered {status}; check {}",
                self.hub.endpoint_variable
            ))),
        }
    }

    /// The failure of a body that broke off or stalled.
    fn stalled(&self, error: &io::Error) -> TransferFailure {
        match is_timeout(error) {
            true => TransferFailure::Retryable(format!(
                "no byte came for {} s",
                self.hub.timeout.as_secs_f64()
            )),
            false => TransferFailure::Retryable(format!("the connection broke ({error})")),
        }
    }
}

/// `"bytes 5-9/10"` as `(5, Some(10))`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("bytes */10"), None);
    }
}
