//! Where the photos of a run come from: from sources that are opened one after the other, or as the frames of a clip,
//! which are decoded already and of which nobody knows how many there are before the last one came.

use image::RgbImage;

use crate::error::Result;
use crate::io::inputs::Source;

/// The frames of a clip, in order; one thread alone asks for them.
pub trait FrameFeed: Sync {
    /// Width and height of all of them.
    fn size(&self) -> (u32, u32);

    /// The next one; none after the last.
    ///
    /// # Errors
    /// If it cannot be read, after which there are no more.
    fn next_frame(&self) -> Result<Option<RgbImage>>;
}

/// Where photos come from.
pub(super) enum PhotoFeed<'f> {
    /// From these.
    Sources(&'f [&'f Source]),
    /// From a clip.
    Frames(&'f Source, &'f dyn FrameFeed),
}

impl PhotoFeed<'_> {
    /// How many there are, where that is known before the last one came.
    pub fn count(&self) -> Option<usize> {
        match self {
            PhotoFeed::Sources(sources) => Some(sources.len()),
            PhotoFeed::Frames(..) => None,
        }
    }
}
