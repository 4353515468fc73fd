//! Opens a clip: reads its header with the reader for its kind, without decoding a frame.

use std::path::{Path, PathBuf};

use super::animation_header::AnimationFormat;
use super::clip::Clip;
use super::ratio::Ratio;
use super::{animation, image_sequence, probe};
use crate::error::Result;

impl Clip {
    /// Reads the header of the file at `path`: by ffprobe, or of GIF, APNG and animated WebP without it.
    ///
    /// # Errors
    /// Names the file: if ffmpeg is missing, or the file has no video stream, no frames, or cannot be parsed.
    pub fn probe(path: &Path) -> Result<Self> {
        match AnimationFormat::of_file(path)? {
            Some(animation) => animation::probe(path, animation),
            None => probe::probe(path),
        }
    }

    /// Takes the images of a folder as frames at `rate` per second, in the order of the numbers in their names.
    ///
    /// # Errors
    /// Names the folder, if it cannot be listed or there are not images in it.
    pub fn from_folder(folder: &Path, rate: Ratio) -> Result<Self> {
        let images = image_sequence::list_images(folder)?;
        Clip::from_images(folder, images, rate)
    }

    /// Takes `images` as frames at `rate` per second; `path` names them together in messages.
    ///
    /// # Errors
    /// If there are none, or the first cannot be read.
    pub fn from_images(path: &Path, images: Vec<PathBuf>, rate: Ratio) -> Result<Self> {
        image_sequence::probe(path, images, rate)
    }
}
