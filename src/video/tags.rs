//! What a file of video says about itself.

use std::path::Path;

use serde_json::Value;

use super::program::{Programs, capture, file_argument};

/// The value of the tag `name` of the file at `path`, whatever the case of its letters; none where there is none, or the
/// file cannot be understood.
pub fn tag_of(path: &Path, name: &str) -> Option<String> {
    let programs = Programs::find(path).ok()?;
    let mut command = programs.ffprobe();
    command.args(["-of", "json", "-show_entries", "format_tags"]);
    command.arg(file_argument(path));
    let told = capture(&mut command).ok()?;
    let told: Value = serde_json::from_slice(&told.stdout).ok()?;
    let tags = told.get("format")?.get("tags")?.as_object()?;
    let mut tags = tags.iter();
    let (_, value) = tags.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(value.as_str()?.to_owned())
}
