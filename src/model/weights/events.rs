//! What a caller hears while models are fetched and installed: notes, warnings and bytes transferred.
//!
//! Nothing in this room prints. The caller passes a [`FetchEventSink`]; an error that it returns stops the work, which is
//! also the path by which Ctrl-C ends a download.

use crate::error::Result;

/// Something to tell the user while models are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchEvent<'a> {
    /// A sentence.
    Note(&'a str),
    /// A sentence about a transfer that broke off and goes on behind the bytes that came.
    Resumed(&'a str),
    /// Something that may not be as the user meant it.
    Warning(&'a str),
    /// Bytes of a transfer so far.
    Progress {
        /// What is being fetched.
        label: &'a str,
        /// Bytes so far, those of earlier runs included.
        done: u64,
        /// All bytes, when known.
        total: Option<u64>,
    },
    /// The transfer that [`FetchEvent::Progress`] told about has ended.
    ProgressEnd,
}

/// Who is told; an error from it stops the work and is passed on.
pub type FetchEventSink<'a> = dyn FnMut(FetchEvent<'_>) -> Result<()> + 'a;
