//! Decodes PNG, GIF, WebP, BMP, ICO, PNM, QOI and farbfeld with the `image` crate: bytes, or one frame of an animation,
//! to a [`SourceRaster`].

use std::io::{Cursor, ErrorKind};

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::error::{ImageError, LimitErrorKind};
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::footprint::Footprint;
use super::pages::webp;
use super::raster::{Alpha, ColorModel, RasterSamples, SourceRaster};
use super::sniff::format_name;

/// Decodes an image of `format`, or frame `frame` (from 0) of an animation, composited over the frames before it.
/// `max_memory` bytes bound what the decoder allocates; `check` may refuse the [`Footprint`] before that.
///
/// # Errors
/// What is wrong with the file, as a part of a sentence about it: truncated, damaged, of an unsupported kind, or
/// refused by `check`.
pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    frame: Option<usize>,
    max_memory: u64,
    check: impl Fn(Footprint) -> Result<(), String>,
) -> Result<SourceRaster, String> {
    let explain = |error: ImageError| explain(&error, format);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowed = Limits::no_limits();
    // The samples are checked below; this limit is for what else a malicious file makes the decoder allocate.
    allowed.max_alloc = Some(match png_pixels(bytes, format) {
        // A compressed profile may expand to gigabytes; real ones have a few megabytes at most.
        Some(pixels) => max_memory.min(pixels.saturating_mul(2 * 8).saturating_add(64 << 20)),
        None => max_memory,
    });
    reader.limits(allowed);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let color = decoder.color_type();
    let sample = usize::from(color.bytes_per_pixel() / color.channel_count());
    // A frame is composited on a canvas over those before it.
    let scratch = if frame.is_some() { 2 * 4 } else { 0 };
    let footprint = Footprint::new(decoder.dimensions(), color.channel_count().into(), sample);
    check(footprint.with_scratch(scratch))?;
    // A photo whose profile is broken is still a photo.
    let icc = decoder.icc_profile().unwrap_or(None);
    let image = match frame {
        Some(number) => {
            if format == ImageFormat::WebP && webp::clears_before(bytes, number) {
                return Err(
                    "is an animated WebP that clears its canvas between frames, which is not supported; take the \
                     frames out of it first, with ffmpeg or webpmux"
                        .into(),
                );
            }
            drop(decoder);
            nth_frame(bytes, format, number).map_err(explain)?
        }
        None => DynamicImage::from_decoder(decoder).map_err(explain)?,
    };
    raster(image, icc)
        .ok_or_else(|| format!("this kind of {} is not supported", format_name(format)))
}

/// The number of pixels of a PNG, whose size is at a fixed offset; `None` for other formats.
fn png_pixels(bytes: &[u8], format: ImageFormat) -> Option<u64> {
    let side = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    (format == ImageFormat::Png)
        .then(|| Some(u64::from(side(16)?) * u64::from(side(20)?)))
        .flatten()
}

/// Frame `number` (from 0) of an animated GIF, WebP or PNG.
fn nth_frame(bytes: &[u8], format: ImageFormat, number: usize) -> Result<DynamicImage, ImageError> {
    let bytes = Cursor::new(bytes);
    let mut frames = match format {
        ImageFormat::Gif => GifDecoder::new(bytes)?.into_frames(),
        ImageFormat::WebP => WebPDecoder::new(bytes)?.into_frames(),
        _ => PngDecoder::new(bytes)?.apng()?.into_frames(),
    };
    match frames.nth(number) {
        Some(frame) => Ok(frame?.into_buffer().into()),
        None => Err(ImageError::IoError(ErrorKind::UnexpectedEof.into())),
    }
}

/// The raster of a decoded image; `None` if its sample type is unknown.
fn raster(image: DynamicImage, icc: Option<Vec<u8>>) -> Option<SourceRaster> {
    use DynamicImage::{
        ImageLuma8, ImageLuma16, ImageLumaA8, ImageLumaA16, ImageRgb8, ImageRgb16, ImageRgb32F,
        ImageRgba8, ImageRgba16, ImageRgba32F,
    };
    let size = (image.width(), image.height());
    let (colour, alpha) = match &image {
        ImageLuma8(_) | ImageLuma16(_) => (ColorModel::Grey, Alpha::None),
        ImageLumaA8(_) | ImageLumaA16(_) => (ColorModel::Grey, Alpha::Straight),
        ImageRgb8(_) | ImageRgb16(_) | ImageRgb32F(_) => (ColorModel::Rgb, Alpha::None),
        ImageRgba8(_) | ImageRgba16(_) | ImageRgba32F(_) => (ColorModel::Rgb, Alpha::Straight),
        _ => return None,
    };
    let (samples, white) = match image {
        ImageLuma8(image) => (RasterSamples::U8(image.into_raw()), 255.0),
        ImageLumaA8(image) => (RasterSamples::U8(image.into_raw()), 255.0),
        ImageRgb8(image) => (RasterSamples::U8(image.into_raw()), 255.0),
        ImageRgba8(image) => (RasterSamples::U8(image.into_raw()), 255.0),
        ImageLuma16(image) => (RasterSamples::U16(image.into_raw()), 65535.0),
        ImageLumaA16(image) => (RasterSamples::U16(image.into_raw()), 65535.0),
        ImageRgb16(image) => (RasterSamples::U16(image.into_raw()), 65535.0),
        ImageRgba16(image) => (RasterSamples::U16(image.into_raw()), 65535.0),
        ImageRgb32F(image) => (RasterSamples::F32(image.into_raw()), 1.0),
        ImageRgba32F(image) => (RasterSamples::F32(image.into_raw()), 1.0),
        _ => return None,
    };
    Some(SourceRaster::new(size, colour, alpha, samples, white, icc))
}

/// The decoder's error as a part of a sentence about the file.
fn explain(error: &ImageError, format: ImageFormat) -> String {
    let name = format_name(format);
    match error {
        ImageError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => {
            format!("truncated {name}: the file ends before the image does")
        }
        ImageError::IoError(io) => format!("damaged {name}: {io}"),
        ImageError::Limits(limit) if limit.kind() == LimitErrorKind::InsufficientMemory => {
            format!("this {name} needs more memory than --max-memory allows for")
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
