//! Which way up a stored image is, as Pillow's `exif_transpose` decides it: EXIF, and XMP only where EXIF is silent.

use exif::Tag;
use image::metadata::Orientation;

use super::{EmbeddedMetadata, integer, xmp_value};

impl EmbeddedMetadata {
    /// How the stored image is turned to stand upright.
    pub fn orientation(&self) -> Orientation {
        let noted = match self
            .parse_exif()
            .and_then(|exif| integer(&exif, Tag::Orientation))
        {
            Some(value) => Some(value),
            None => self
                .xmp
                .as_deref()
                .and_then(|xmp| xmp_value(xmp, "tiff:Orientation")?.parse().ok()),
        };
        noted
            .and_then(|value| u8::try_from(value).ok())
            .and_then(Orientation::from_exif)
            .unwrap_or(Orientation::NoTransforms)
    }
}
