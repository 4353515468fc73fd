//! Downloads from a [`Hub`]: a file of a repository or of a plain host, or only its size.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::model::weights::events::FetchEventSink;
use crate::model::weights::hub::{Hub, last_part};
use crate::model::weights::transfer;
use crate::system::interrupt;

impl Hub {
    /// Downloads `file` of `repo` to `partial`, going on where an earlier run of the same file stopped. On success the
    /// file is whole: of the size that the server promised, and of its SHA-256 where the server names one.
    ///
    /// `Ok(false)` when the repository has no such file.
    pub fn download(
        &self,
        repo: &str,
        file: &str,
        partial: &Path,
        events: &mut FetchEventSink<'_>,
    ) -> Result<bool> {
        let url = self.url(repo, file);
        transfer::fetch(self, repo, file, url, partial, events)
    }

    /// Asks for the file at `path` of a plain host without taking it, and how large it is, until `deadline`, whatever it
    /// is that takes so long; it is told as `patience`.
    ///
    /// # Errors
    /// If it is not there, or if nobody answers.
    pub fn query_file_size(
        &self,
        path: &str,
        (deadline, patience): (Instant, Duration),
    ) -> Result<Option<u64>> {
        const POLL_INTERVAL: Duration = Duration::from_millis(50);
        let url = format!("{}/{path}", self.endpoint);
        let hub = Hub {
            timeout: patience,
            retries: 0,
            ..self.clone()
        };
        let label = last_part(path).to_owned();
        let (send, receive) = mpsc::channel();
        // Names are resolved without a limit of ours; who waits for one too long is left to itself.
        std::thread::spawn(move || {
            // Nobody listens any more after the deadline.
            let _ = send.send(transfer::query_size(&hub, &label, url));
        });
        loop {
            match receive.recv_timeout(POLL_INTERVAL) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => interrupt::check()?,
                Err(_) => {
                    return Err(Error::Download(format!(
                        "{} did not answer within {} s",
                        self.endpoint,
                        patience.as_secs_f64()
                    )));
                }
            }
        }
    }

    /// The same for the file at `path` of a plain host.
    pub fn download_file(
        &self,
        path: &str,
        partial: &Path,
        events: &mut FetchEventSink<'_>,
    ) -> Result<bool> {
        let url = format!("{}/{path}", self.endpoint);
        let label = last_part(path);
        transfer::fetch(self, label, label, url, partial, events)
    }
}
