//! How the stored image of a photo is turned to stand upright, without decoding it.

use image::metadata::Orientation;

use super::metadata::EmbeddedMetadata;
use super::sniff::{self, FileKind};
use super::source::Source;
use crate::error::Result;

/// The orientation of `source`, from EXIF or, where that is silent, from XMP; none where the format turns its pictures
/// itself.
///
/// # Errors
/// If the file cannot be read.
pub fn orientation(source: &Source) -> Result<Orientation> {
    let bytes = source.read(u64::MAX)?;
    Ok(match sniff::identify_bytes(&bytes) {
        FileKind::Image(_) | FileKind::OwnPicture => EmbeddedMetadata::of(&bytes).orientation(),
        _ => Orientation::NoTransforms,
    })
}
