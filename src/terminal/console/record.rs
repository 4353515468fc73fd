//! A message of a recording console, kept until it is replayed.

use std::path::PathBuf;

use serde_json::Value;

use crate::system::files::FileStamp;

/// Something that was said, and is to be said again.
#[derive(Debug)]
pub(super) enum RecordedMessage {
    Text(Vec<u8>),
    Raw(Vec<u8>),
    Path(PathBuf),
    Note(String),
    NoteOnce(&'static str, String),
    Warning(String),
    Detail(String),
    /// Not said, but noted.
    WrittenFile(PathBuf, FileStamp),
    Fact(&'static str, Value),
}
