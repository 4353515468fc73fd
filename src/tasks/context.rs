//! [`TaskContext`]: what the tasks of a run share (decoder and output options), and the task's own label.

use image::{GrayImage, RgbImage};

use crate::error::Result;
use crate::io::inputs::{PhotoDecoder, Source};
use crate::io::manifest::photo_changed_error;
use crate::io::output::LineSubject;
use crate::system::files::{Digest, FileStamp};

/// The decoder and output options that the tasks of a run share, with the label of one task.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// Decodes photos that are shown or cut out after the backbone.
    pub decoder: PhotoDecoder,
    /// Whether one JSON object a photo is printed instead of the written paths (`--json`).
    pub json: bool,
    /// Whether a picture goes to stdout.
    pub to_stdout: bool,
    /// Whether existing files are replaced (`--force`).
    pub force: bool,
    /// The label that tells the files of this task from those of another of the same kind in the run.
    pub label: Option<String>,
}

impl TaskContext {
    /// Decodes a photo again, whose bytes must still have this `stamp`.
    ///
    /// # Errors
    /// Names the photo if it cannot be decoded, or was changed since.
    pub fn decode_again(&self, source: &Source, stamp: Option<&FileStamp>) -> Result<RgbImage> {
        let opened = self.decoder.open(source)?;
        check_unchanged(source, opened.bytes(), stamp)?;
        Ok(opened.decode()?.rgb)
    }

    /// The alpha channel of a photo, whose bytes must still have this `stamp`; `None` where all pixels are opaque.
    ///
    /// # Errors
    /// As [`TaskContext::decode_again`].
    pub fn opacity(&self, source: &Source, stamp: Option<&FileStamp>) -> Result<Option<GrayImage>> {
        let opened = self.decoder.open(source)?;
        check_unchanged(source, opened.bytes(), stamp)?;
        opened.opacity()
    }

    /// The task and its label, as JSON lines name them.
    pub fn subject(&self, task: &'static str) -> LineSubject {
        LineSubject {
            task,
            label: self.label.clone(),
        }
    }
}

/// Refuses bytes that are not those of `stamp`, so that no picture mixes two states of a photo.
fn check_unchanged(source: &Source, bytes: &[u8], stamp: Option<&FileStamp>) -> Result<()> {
    match stamp {
        Some(stamp) if stamp.digest != Digest::of_bytes(bytes) => Err(photo_changed_error(source)),
        _ => Ok(()),
    }
}
