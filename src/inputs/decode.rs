//! One photo's bytes to upright 8-bit RGB.
//!
//! As the reference preprocessing reads a photo: EXIF orientation applied, alpha dropped (not composited), grey
//! repeated, 16 bits rounded to 8, the first frame of an animation.

use std::io::{Cursor, ErrorKind};

use image::error::{ImageError, LimitErrorKind};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use crate::error::{Error, Result};
use crate::inputs::jpeg;
use crate::inputs::sniff::{self, Kind};
use crate::inputs::source::Source;

/// What a photo may cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeLimits {
    /// Width times height, at most. Checked from the header, before anything is allocated.
    pub max_pixels: u64,
}

impl Default for DecodeLimits {
    /// 200 megapixels.
    fn default() -> Self {
        DecodeLimits {
            max_pixels: 200_000_000,
        }
    }
}

/// A decoded photo, the right way up.
#[derive(Debug, Clone)]
pub struct Photo {
    /// The pixels, row by row.
    pub rgb: RgbImage,
}

/// Decodes `source`.
///
/// # Errors
/// Names the source and says what is wrong: no image, an unsupported format, more pixels than allowed, truncated
/// or damaged data.
pub fn decode(source: &Source, limits: &DecodeLimits) -> Result<Photo> {
    let bytes = source.read()?;
    let rgb = decode_bytes(&bytes, limits).map_err(|why| Error::file(source.path(), why))?;
    Ok(Photo { rgb })
}

fn decode_bytes(bytes: &[u8], limits: &DecodeLimits) -> Result<RgbImage, String> {
    let check = |width, height| check_size(width, height, limits);
    let (rgb, orientation) = match sniff::identify(&bytes[..bytes.len().min(sniff::HEAD)]) {
        Kind::Image(ImageFormat::Jpeg) => jpeg::decode(bytes, check)?,
        Kind::Image(format) => decode_any(bytes, format, limits, check)?,
        Kind::OwnPicture => decode_any(bytes, ImageFormat::Png, limits, check)?,
        Kind::Undecodable(name) | Kind::Unsuitable(name) => {
            return Err(format!(
                "{name} is not supported; convert it to JPEG or PNG first"
            ));
        }
        Kind::Other if bytes.is_empty() => return Err("is empty".into()),
        Kind::Other => {
            return Err("is not an image (known are JPEG, PNG, WebP, TIFF, GIF, BMP, PNM, QOI, ICO and farbfeld)".into());
        }
    };
    let mut upright = DynamicImage::ImageRgb8(rgb);
    upright.apply_orientation(orientation);
    Ok(upright.into_rgb8())
}

/// Everything but JPEG.
fn decode_any(
    bytes: &[u8],
    format: ImageFormat,
    limits: &DecodeLimits,
    check: impl Fn(u32, u32) -> Result<(), String>,
) -> Result<(RgbImage, Orientation), String> {
    let explain = |error: ImageError| explain(&error, format);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowed = Limits::no_limits();
    // 16 bytes a pixel hold the widest format (32-bit RGBA); the rest is for the decoders' own tables.
    allowed.max_alloc = Some(
        limits
            .max_pixels
            .saturating_mul(2 * 16)
            .saturating_add(64 << 20),
    );
    reader.limits(allowed);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    check(width, height)?;
    // A photo whose EXIF block is broken is still a photo.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(explain)?;
    Ok((image.into_rgb8(), orientation))
}

fn check_size(width: u32, height: u32, limits: &DecodeLimits) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(format!("has no pixels ({width} x {height})"));
    }
    if pixels > limits.max_pixels {
        let mega = |pixels: u64| pixels as f64 / 1e6;
        return Err(format!(
            "{width} x {height} is {:.1} megapixels, over the limit of {} (raise it with --max-megapixels)",
            mega(pixels),
            mega(limits.max_pixels),
        ));
    }
    Ok(())
}

/// The decoder's complaint in one sentence.
fn explain(error: &ImageError, format: ImageFormat) -> String {
    let name = name(format);
    match error {
        ImageError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => {
            format!("truncated {name}: the file ends before the image does")
        }
        ImageError::IoError(io) => format!("damaged {name}: {io}"),
        ImageError::Limits(limit) if limit.kind() == LimitErrorKind::InsufficientMemory => {
            format!("this {name} needs more memory than --max-megapixels allows for")
        }
        ImageError::Unsupported(_) => {
            format!(
                "this kind of {name} is not supported ({error}); convert it to JPEG or 8-bit PNG first"
            )
        }
        error => {
            let reason = std::error::Error::source(error)
                .map_or_else(|| error.to_string(), ToString::to_string);
            match reason.contains("end of file") || reason.contains("EOF") {
                true => format!("truncated {name}: the file ends before the image does"),
                false => format!("damaged {name}: {reason}"),
            }
        }
    }
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Gif => "GIF",
        ImageFormat::WebP => "WebP",
        ImageFormat::Pnm => "PNM",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Ico => "ICO",
        ImageFormat::Farbfeld => "farbfeld image",
        ImageFormat::Qoi => "QOI",
        _ => "image",
    }
}
