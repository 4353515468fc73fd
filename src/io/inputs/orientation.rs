//! The orientation of a photo, from its metadata alone.

use image::metadata::Orientation;

use super::metadata::EmbeddedMetadata;
use super::sniff::{self, FileKind};
use super::source::Source;
use crate::error::Result;

/// The transform that makes the stored image of `source` upright, from EXIF or, if that has none, XMP;
/// [`Orientation::NoTransforms`] for formats whose decoders return upright images. Reads the source, but decodes no
/// pixel.
///
/// # Errors
/// If the source cannot be read.
pub fn orientation(source: &Source) -> Result<Orientation> {
    let bytes = source.read(u64::MAX)?;
    Ok(match sniff::identify_bytes(&bytes) {
        FileKind::Image(_) | FileKind::OwnPicture => EmbeddedMetadata::of(&bytes).orientation(),
        _ => Orientation::NoTransforms,
    })
}
