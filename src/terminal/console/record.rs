//! A message of a recording console, kept until it is replayed.

use std::path::PathBuf;

use serde_json::Value;

use crate::system::files::FileStamp;

/// One message of a recorder; the variants are named after the methods of [`Console`](super::Console).
#[derive(Debug)]
pub(super) enum RecordedMessage {
    Text(Vec<u8>),
    Raw(Vec<u8>),
    Path(PathBuf),
    Note(String),
    NoteOnce(&'static str, String),
    Warning(String),
    Detail(String),
    /// A written file and its stamp; not printed by the replay.
    WrittenFile(PathBuf, FileStamp),
    Fact(&'static str, Value),
}
