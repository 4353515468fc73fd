//! Events that are reported to the caller while models are fetched and installed: notes, warnings and bytes
//! transferred.
//!
//! Nothing in `weights` prints. The caller passes a [`FetchEventSink`]; an error that it returns stops the work, which
//! is also the path by which Ctrl-C ends a download.

use crate::error::Result;

/// One report of a download or an installation, for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchEvent<'a> {
    /// A sentence of information, such as what is fetched and under which licence.
    Note(&'a str),
    /// A sentence about a transfer that was interrupted and is resumed after the bytes already received.
    Resumed(&'a str),
    /// A sentence about something that may not be what the user intended.
    Warning(&'a str),
    /// Bytes of a transfer so far.
    Progress {
        /// Name of the model, repository or file that is being fetched.
        label: &'a str,
        /// Bytes on the disk so far, those of earlier runs included.
        done: u64,
        /// Size of the whole file in bytes; `None` where the server does not state it.
        total: Option<u64>,
    },
    /// The transfer of the last [`FetchEvent::Progress`] has ended.
    ProgressEnd,
}

/// Receiver of [`FetchEvent`]s; an error that it returns stops the work and is passed on to the caller.
pub type FetchEventSink<'a> = dyn FnMut(FetchEvent<'_>) -> Result<()> + 'a;
