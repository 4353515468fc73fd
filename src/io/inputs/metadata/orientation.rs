//! Reads the orientation of a stored image, as Pillow's `exif_transpose` does: the EXIF tag Orientation (274), and
//! XMP's `tiff:Orientation` only where EXIF has none. [`develop`](crate::io::inputs::develop) applies it.

use exif::Tag;
use image::metadata::Orientation;

use super::blocks::{EmbeddedMetadata, integer, xmp_value};

impl EmbeddedMetadata {
    /// The transform that makes the stored image upright; [`Orientation::NoTransforms`] without a value from 1 to 8.
    pub fn orientation(&self) -> Orientation {
        let recorded = match self
            .parse_exif()
            .and_then(|exif| integer(&exif, Tag::Orientation))
        {
            Some(value) => Some(value),
            None => self
                .xmp
                .as_deref()
                .and_then(|xmp| xmp_value(xmp, "tiff:Orientation")?.parse().ok()),
        };
        recorded
            .and_then(|value| u8::try_from(value).ok())
            .and_then(Orientation::from_exif)
            .unwrap_or(Orientation::NoTransforms)
    }
}
