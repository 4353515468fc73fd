//! How the stored image of a photo is turned to stand upright, without decoding it.

use image::metadata::Orientation;

use super::metadata::Metadata;
use super::source::Source;
use crate::error::Result;

/// The orientation of `source`, from EXIF or, where that is silent, from XMP.
///
/// # Errors
/// If the file cannot be read.
pub fn orientation(source: &Source) -> Result<Orientation> {
    Ok(Metadata::of(&source.read()?).orientation())
}
