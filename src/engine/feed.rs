//! Input of a run: sources that are opened one after the other, or the frames of a clip, which come decoded and whose
//! number is not known before the last one.

use image::RgbImage;

use crate::error::Result;
use crate::io::inputs::Source;

/// The decoded frames of a clip, in order; only one thread calls it.
pub trait FrameSource: Sync {
    /// Width and height in pixels, the same for all frames.
    fn size(&self) -> (u32, u32);

    /// The next frame, RGB and upright; none after the last.
    ///
    /// # Errors
    /// If the frame cannot be read; no frame follows it then.
    fn next_frame(&self) -> Result<Option<RgbImage>>;
}

/// What a run takes its photos from.
pub(super) enum PhotoInputs<'f> {
    /// Sources to open and decode, by index.
    Sources(&'f [&'f Source]),
    /// A clip (for messages) and its frames.
    Frames(&'f Source, &'f dyn FrameSource),
}

impl PhotoInputs<'_> {
    /// The number of photos; none for a clip, where it is known only after the last frame.
    pub fn count(&self) -> Option<usize> {
        match self {
            PhotoInputs::Sources(sources) => Some(sources.len()),
            PhotoInputs::Frames(..) => None,
        }
    }
}
