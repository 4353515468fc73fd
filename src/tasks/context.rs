//! What the tasks of a run share.

use image::{GrayImage, RgbImage};

use crate::error::Result;
use crate::io::inputs::{PhotoDecoder, Source};
use crate::io::manifest::changed_meanwhile;
use crate::io::output::Subject;
use crate::system::files::{Digest, Stamp};

/// What the tasks of a run share.
#[derive(Debug, Clone)]
pub struct Context {
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

impl Context {
    /// Decodes a photo again that had this `stamp`.
    ///
    /// # Errors
    /// Names the photo if it cannot be decoded, or is another one now.
    pub fn decode_again(&self, source: &Source, stamp: Option<&Stamp>) -> Result<RgbImage> {
        let opened = self.decoder.open(source)?;
        check_same(source, opened.bytes(), stamp)?;
        Ok(opened.decode()?.rgb)
    }

    /// How opaque the pixels of a photo are that had this `stamp`; none where all are.
    ///
    /// # Errors
    /// As [`Context::decode_again`].
    pub fn opacity(&self, source: &Source, stamp: Option<&Stamp>) -> Result<Option<GrayImage>> {
        let opened = self.decoder.open(source)?;
        check_same(source, opened.bytes(), stamp)?;
        opened.opacity()
    }

    /// What lines in JSON of this task are about.
    pub fn subject(&self, task: &'static str) -> Subject {
        Subject {
            task,
            label: self.label.clone(),
        }
    }
}

/// Refuses bytes that are not those of `stamp`, so that no picture is of two states of a photo.
fn check_same(source: &Source, bytes: &[u8], stamp: Option<&Stamp>) -> Result<()> {
    match stamp {
        Some(stamp) if stamp.digest != Digest::of_bytes(bytes) => Err(changed_meanwhile(source)),
        _ => Ok(()),
    }
}
