//! RGB pictures as PNG, JPEG or WebP, chosen by the extension of the file name.
//!
//! To add a format, add an arm to [`PictureFormat`] with its extensions, and its encoder to [`write_picture`].

use std::io::{self, Write};
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageError, RgbImage};

use crate::io::output::png::{PngPixels, write_png};

/// JPEG quality, 1..=100: high enough that blocks do not show on flat colours.
const JPEG_QUALITY: u8 = 92;

/// The file format of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// PNG: lossless, with text.
    Png,
    /// JPEG: small, lossy.
    Jpeg,
    /// WebP: lossless.
    WebP,
}

impl PictureFormat {
    /// The extensions that [`PictureFormat::of`] accepts, for messages.
    pub const ENDINGS: &str = ".png, .jpg, .jpeg or .webp";

    /// The format by the extension of `path`, ignoring case; `None` for other extensions.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "png" => Some(PictureFormat::Png),
            "jpg" | "jpeg" => Some(PictureFormat::Jpeg),
            "webp" => Some(PictureFormat::WebP),
            _ => None,
        }
    }
}

/// Writes `picture`; only PNG keeps `text` (pairs of keyword and value).
///
/// # Errors
/// If writing fails, or the format cannot hold a picture of this size.
pub fn write_picture(
    writer: impl Write,
    format: PictureFormat,
    picture: &RgbImage,
    text: &[(&str, String)],
) -> io::Result<()> {
    let (width, height) = picture.dimensions();
    let rgb = ExtendedColorType::Rgb8;
    match format {
        PictureFormat::Png => write_png(writer, (width, height), PngPixels::Rgb8(picture), text),
        PictureFormat::Jpeg => JpegEncoder::new_with_quality(writer, JPEG_QUALITY)
            .write_image(picture, width, height, rgb)
            .map_err(to_io),
        PictureFormat::WebP => WebPEncoder::new_lossless(writer)
            .write_image(picture, width, height, rgb)
            .map_err(to_io),
    }
}

fn to_io(error: ImageError) -> io::Error {
    match error {
        ImageError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_format_reads_back() {
        let picture = RgbImage::from_fn(20, 10, |x, _| image::Rgb([x as u8 * 12, 100, 50]));
        for format in [PictureFormat::Png, PictureFormat::Jpeg, PictureFormat::WebP] {
            let mut bytes = Vec::new();
            write_picture(&mut bytes, format, &picture, &[]).unwrap();
            let back = image::load_from_memory(&bytes).unwrap().into_rgb8();
            assert_eq!(back.dimensions(), (20, 10));
            let worst = back
                .iter()
                .zip(picture.iter())
                .map(|(a, b)| a.abs_diff(*b))
                .max()
                .unwrap();
            assert!(
                worst <= if format == PictureFormat::Jpeg { 12 } else { 0 },
                "{format:?}: {worst}"
            );
        }
    }

    #[test]
    fn endings_are_known_in_any_case() {
        assert_eq!(
            PictureFormat::of(Path::new("a.JPG")),
            Some(PictureFormat::Jpeg)
        );
        assert_eq!(PictureFormat::of(Path::new("a.gif")), None);
        assert_eq!(PictureFormat::of(Path::new("png")), None);
    }
}
