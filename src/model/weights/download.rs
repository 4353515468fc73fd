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
    /// Downloads `file` of `repo` to `partial`, resuming where an earlier run of the same file stopped. On success the
    /// file is complete: of the size that the server stated, and of its SHA-256 where the server names one. `Ok(false)`
    /// means that the repository has no such file.
    ///
    /// # Errors
    /// If the network is forbidden, the server refuses or cannot be reached, the transfer breaks more often than
    /// [`Hub::retries`] allows, the file is not what the server stated, or it cannot be written.
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

    /// Size in bytes of the file at `path` of a plain host, which is not fetched; `None` where the server does not
    /// state it. The wait ends at `deadline`; `patience` is the same limit as a duration, for the request and for
    /// messages.
    ///
    /// # Errors
    /// If the file is not there, the server cannot be reached, or it does not answer in time; [`Error::Interrupted`].
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
        // Resolving a host name has no limit of its own; a thread that waits too long for one is abandoned.
        std::thread::spawn(move || {
            // After the deadline the receiver is gone.
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

    /// As [`Hub::download`], for the file at `path` of a plain host.
    ///
    /// # Errors
    /// As [`Hub::download`].
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
