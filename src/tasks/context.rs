//! What the tasks of a run share.

use image::{GrayImage, RgbImage};

use crate::error::Result;
use crate::io::inputs::{PhotoDecoder, Source};
use crate::io::manifest::photo_changed_error;
use crate::io::output::LineSubject;
use crate::system::files::{Digest, FileStamp};

/// What the tasks of a run share.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// Decodes photos that are wanted again.
    pub decoder: PhotoDecoder,
    /// Whether an object a photo is printed, in place of the written paths.
    pub json: bool,
    /// Whether a picture goes to stdout.
    pub to_stdout: bool,
    /// Whether files that are there are replaced.
    pub force: bool,
    /// What tells the files of the task from those of others of its kind.
    pub label: Option<String>,
}

impl TaskContext {
    /// Decodes a photo again that had this `stamp`.
    ///
    /// # Errors
    /// Names the photo if it cannot be decoded, or is another one now.
    pub fn decode_again(&self, source: &Source, stamp: Option<&FileStamp>) -> Result<RgbImage> {
        let opened = self.decoder.open(source)?;
        check_unchanged(source, opened.bytes(), stamp)?;
        Ok(opened.decode()?.rgb)
    }

    /// How opaque the pixels of a photo are that had this `stamp`; none where all are.
    ///
    /// # Errors
    /// As [`TaskContext::decode_again`].
    pub fn opacity(&self, source: &Source, stamp: Option<&FileStamp>) -> Result<Option<GrayImage>> {
        let opened = self.decoder.open(source)?;
        check_unchanged(source, opened.bytes(), stamp)?;
        opened.opacity()
    }

    /// What lines in JSON of this task are about.
    pub fn subject(&self, task: &'static str) -> LineSubject {
        LineSubject {
            task,
            label: self.label.clone(),
        }
    }
}

/// Refuses bytes that are not those of `stamp`, so that no picture is of two states of a photo.
fn check_unchanged(source: &Source, bytes: &[u8], stamp: Option<&FileStamp>) -> Result<()> {
    match stamp {
        Some(stamp) if stamp.digest != Digest::of_bytes(bytes) => Err(photo_changed_error(source)),
        _ => Ok(()),
    }
}
