//! An entry of the manifest: one task on one photo, and its line of JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::io::manifest::output_names::portable;
use crate::io::manifest::{PhotoFailure, PhotoName};
use crate::io::output::path_bytes;
use crate::system::files::{Digest, FileStamp};

/// Version of the format of lines; a line of a later one is refused.
const FORMAT: u32 = 2;

/// What a task makes of one photo, or of one page of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestEntry {
    /// Name of the task, such as `depth`.
    pub task: String,
    /// Absolute path of the photo, or `<stdin>`.
    pub input: PathBuf,
    /// Page number from 1, if the file has several.
    pub page: Option<u32>,
    /// Stamp of the photo's file, or of its bytes if it came from standard input or a pipe.
    pub photo: FileStamp,
    /// Digest of everything that decides what the outputs are, except photo and fit: the task, the page, the model, the
    /// head, all settings. See [`TaskDigests`](super::TaskDigests).
    pub recipe: Digest,
    /// Digest of what was fitted to several photos, such as a PCA basis; none if nothing was.
    pub fit: Option<Digest>,
    /// Paths of the outputs: files, or folders of masks.
    pub outputs: Vec<PathBuf>,
    /// Further facts, which are written and never read back.
    pub facts: Map<String, Value>,
}

/// A photo for which a task failed.
#[derive(Debug, Clone)]
pub struct FailedEntry<'a> {
    /// See [`ManifestEntry::task`].
    pub task: &'a str,
    /// See [`ManifestEntry::input`].
    pub input: &'a Path,
    /// See [`ManifestEntry::page`].
    pub page: Option<u32>,
    /// Stamp of its file, if it could be read and was not changed meanwhile.
    pub photo: Option<&'a FileStamp>,
    /// Digest of what decides whether a photo can be read: decoding options, limits, program version.
    pub recipe: Digest,
    /// Why it failed.
    pub failure: &'a PhotoFailure,
    /// See [`ManifestEntry::facts`].
    pub facts: &'a Map<String, Value>,
}

/// State of the outputs of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EntryState {
    /// They are about to be written.
    Begun,
    /// They are complete.
    Done,
    /// They could not be made.
    Failed,
}

/// One line of the manifest; the field names are the keys of the JSON object. Unknown keys are ignored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ManifestLine {
    format: u32,
    pub state: EntryState,
    pub task: String,
    input: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_bytes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<u32>,
    /// When it was written, in milliseconds since 1970; larger than in all lines known to the writer. 0 in format 1.
    #[serde(default)]
    pub time: u64,
    /// Absent only for a photo that failed before it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<FileStamp>,
    pub recipe: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Digest>,
    #[serde(default)]
    outputs: BTreeMap<String, Option<FileStamp>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    outputs_bytes: BTreeMap<String, Option<FileStamp>>,
    /// Whether outputs are written over the files that they replace, so that they may be left unfinished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_place: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<PhotoFailure>,
    /// Not read, since nothing uses them and they are much of a line.
    #[serde(default, skip_deserializing, skip_serializing_if = "Map::is_empty")]
    facts: Map<String, Value>,
}

/// Why a line cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineFault {
    /// It is not JSON, as a line that was cut off.
    Torn(String),
    /// It is JSON, but not a record of this program.
    Unknown(String),
    /// It has a later format, which is given.
    Newer(u32),
}

impl ManifestLine {
    /// A line for `entry`. `outputs` has the names of the outputs below the manifest's folder, with the stamps that
    /// belong to the state: of the replaced files for `begun`, of the outputs for `done`. The time is set when it is
    /// appended.
    pub fn new(
        entry: &ManifestEntry,
        state: EntryState,
        outputs: impl IntoIterator<Item = (PathBuf, Option<FileStamp>)>,
    ) -> Self {
        let mut line = ManifestLine {
            format: FORMAT,
            state,
            task: entry.task.clone(),
            input: entry.input.to_string_lossy().into_owned(),
            input_bytes: path_bytes(&entry.input),
            page: entry.page,
            time: 0,
            photo: Some(entry.photo.clone()),
            recipe: entry.recipe,
            fit: entry.fit,
            outputs: BTreeMap::new(),
            outputs_bytes: BTreeMap::new(),
            in_place: false,
            error: None,
            facts: match state {
                EntryState::Done => entry.facts.clone(),
                EntryState::Begun | EntryState::Failed => Map::new(),
            },
        };
        for (name, stamp) in outputs {
            match path_bytes(&name) {
                Some(encoded) => line.outputs_bytes.insert(encoded, stamp),
                None => line.outputs.insert(portable(&name), stamp),
            };
        }
        line
    }

    /// A `failed` line.
    pub fn of_failure(failed: &FailedEntry<'_>) -> Self {
        ManifestLine {
            format: FORMAT,
            state: EntryState::Failed,
            task: failed.task.to_owned(),
            input: failed.input.to_string_lossy().into_owned(),
            input_bytes: path_bytes(failed.input),
            page: failed.page,
            time: 0,
            photo: failed.photo.cloned(),
            recipe: failed.recipe,
            fit: None,
            outputs: BTreeMap::new(),
            outputs_bytes: BTreeMap::new(),
            in_place: false,
            error: Some(failed.failure.clone()),
            facts: failed.facts.clone(),
        }
    }

    /// Parses a line without its line break.
    pub fn parse(text: &[u8]) -> Result<Self, LineFault> {
        match serde_json::from_slice::<ManifestLine>(text) {
            Ok(line) if line.format <= FORMAT => match (line.state, &line.photo, &line.error) {
                (EntryState::Failed, _, None) => Err(LineFault::Unknown("missing `error`".into())),
                (EntryState::Begun | EntryState::Done, None, _) => {
                    Err(LineFault::Unknown("missing field `photo`".into()))
                }
                _ => Ok(line),
            },
            Ok(line) => Err(LineFault::Newer(line.format)),
            Err(error) => Err(classify_parse_error(text, &error)),
        }
    }

    /// The line as JSON, with a line break.
    pub fn to_text(&self) -> serde_json::Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The photo and page that it is about.
    pub fn photo_name(&self) -> PhotoName {
        (self.input().into_owned(), self.page.unwrap_or(0))
    }

    /// The bytes of the photo's path.
    pub fn input(&self) -> Cow<'_, [u8]> {
        match &self.input_bytes {
            Some(encoded) => percent_decode_str(encoded).into(),
            None => self.input.as_bytes().into(),
        }
    }

    /// The bytes of the outputs' paths below the folder, `/` between the parts, with their stamps.
    pub fn outputs(&self) -> impl Iterator<Item = (Cow<'_, [u8]>, Option<&FileStamp>)> {
        let plain = self.outputs.iter();
        let plain = plain.map(|(name, stamp)| (name.as_bytes().into(), stamp.as_ref()));
        let encoded = self.outputs_bytes.iter();
        plain.chain(encoded.map(|(name, stamp)| (percent_decode_str(name).into(), stamp.as_ref())))
    }
}

/// Why `text` could not be parsed: torn, unknown, or of a newer format.
fn classify_parse_error(text: &[u8], error: &serde_json::Error) -> LineFault {
    #[derive(Deserialize)]
    struct LineVersion {
        format: u32,
    }
    if let Ok(LineVersion { format }) = serde_json::from_slice(text)
        && format > FORMAT
    {
        return LineFault::Newer(format);
    }
    let why = error.to_string();
    // Each line is parsed alone, so its line number is always 1.
    let why = why.split(" at line ").next().unwrap_or(&why);
    let why = format!("{why} at column {}", error.column());
    match error.classify() {
        Category::Data => LineFault::Unknown(why),
        _ => LineFault::Torn(why),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "tests/entry.rs"]
mod tests;
