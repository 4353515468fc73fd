//! How a photo was stored against how it is seen.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat, ImageReader};

use crate::error::Result;
use crate::inputs::sniff::{self, Kind};
use crate::inputs::source::Source;

/// What has to be done with the stored pixels of a photo to see it upright, as [`super::decode`] does it; nothing for
/// what is no photo or does not say.
///
/// # Errors
/// If the source cannot be read.
pub fn orientation(source: &Source) -> Result<Orientation> {
    let bytes = source.read()?;
    let format = match sniff::identify(&bytes[..bytes.len().min(sniff::HEAD)]) {
        Kind::Image(format) => format,
        Kind::OwnPicture => ImageFormat::Png,
        _ => return Ok(Orientation::NoTransforms),
    };
    let decoder = ImageReader::with_format(Cursor::new(&bytes[..]), format).into_decoder();
    // A photo whose EXIF block is broken is still a photo.
    let orientation = decoder.and_then(|mut decoder| decoder.orientation());
    Ok(orientation.unwrap_or(Orientation::NoTransforms))
}
