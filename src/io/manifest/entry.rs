//! Entries of the manifest: one task on one photo, and the corresponding line of JSON.

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

/// Version of the line format; lines of later versions are refused.
const FORMAT: u32 = 2;

/// The outputs of one task for one photo, or for one page of it, and what they are made from.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestEntry {
    /// Name of the task, such as `depth`.
    pub task: String,
    /// Absolute path of the photo, or `<stdin>`.
    pub input: PathBuf,
    /// Page number from 1; `None` if the file has one page.
    pub page: Option<u32>,
    /// Stamp of the photo's file, or of its bytes if it came from standard input or a pipe.
    pub photo: FileStamp,
    /// Digest of everything that determines the outputs, except photo and fit: the task, the page, the model, the head,
    /// all settings. See [`TaskDigests`](super::TaskDigests).
    pub recipe: Digest,
    /// Digest of the fit to several photos, such as a PCA basis; `None` for tasks without one.
    pub fit: Option<Digest>,
    /// Paths of the outputs: files, or folders of masks.
    pub outputs: Vec<PathBuf>,
    /// Further facts, as listed in [the module](super); they are written and never read back.
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
    /// Stamp of its file; `None` if it could not be read or changed meanwhile.
    pub photo: Option<&'a FileStamp>,
    /// Digest of what determines whether a photo can be decoded: decoding options, limits, program version.
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
    /// About to be written.
    Begun,
    /// Complete.
    Done,
    /// Could not be made.
    Failed,
}

/// One line of the manifest; the field names are the keys of the JSON object. Unknown keys are ignored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(expecting = "a line of a record")]
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
    /// `None` only in a `failed` line of a photo that could not be read or changed meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<FileStamp>,
    pub recipe: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Digest>,
    #[serde(default)]
    outputs: BTreeMap<String, Option<FileStamp>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    outputs_bytes: BTreeMap<String, Option<FileStamp>>,
    /// Whether outputs overwrite existing files in place, so that a crash may leave them unfinished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_place: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<PhotoFailure>,
    /// Not parsed, since nothing uses them and they make up much of a line.
    #[serde(default, skip_deserializing, skip_serializing_if = "Map::is_empty")]
    facts: Map<String, Value>,
}

/// Why a line cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineFault {
    /// It is not JSON, such as a truncated line.
    Torn(String),
    /// It is JSON, but not a record of this program.
    Unknown(String),
    /// It has a later format version, which is given.
    Newer(u32),
}

impl ManifestLine {
    /// A line for `entry`. `outputs` are the names of the outputs below the manifest's folder, with the stamps of the
    /// replaced files for `begun`, and of the outputs for `done`. The time is set when the line is appended.
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

    /// The photo and page of the line.
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

    /// The paths of the outputs below the folder, as bytes with `/` between the parts, with their stamps.
    pub fn outputs(&self) -> impl Iterator<Item = (Cow<'_, [u8]>, Option<&FileStamp>)> {
        let plain = self.outputs.iter();
        let plain = plain.map(|(name, stamp)| (name.as_bytes().into(), stamp.as_ref()));
        let encoded = self.outputs_bytes.iter();
        plain.chain(encoded.map(|(name, stamp)| (percent_decode_str(name).into(), stamp.as_ref())))
    }
}

/// Classifies a line that could not be parsed: torn, unknown, or of a newer format.
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
