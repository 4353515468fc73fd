//! Dispatch over input formats: decodes the bytes of one photo to its [`SourceRaster`] with the decoder of the format
//! that [`sniff`] identifies; then selects bands and reads the EXIF or XMP orientation. The TIFF decoder handles bands
//! and orientation itself, and the decoders of foreign formats return upright images.
//!
//! A new format of the `image` crate needs a name in [`sniff`] and, if its pages are to be counted, an arm in
//! [`pages`]; a format with a decoder of its own gets a variant in [`foreign`].

use image::ImageFormat;

use super::footprint::Footprint;
use super::metadata::EmbeddedMetadata;
use super::options::DecodeOptions;
use super::raster::{Alpha, ColorModel, RasterSamples, SourceRaster};
use super::sniff::{self, FileKind};
use super::{codec, foreign, jpeg, pages, tiff};
use crate::terminal::warnings::Warnings;

/// Decodes the bytes of a file called `name`, or its page `page`, counted from 1. `check` may refuse the [`Footprint`]
/// before any pixel is decoded; warnings about the file go to `warnings`.
///
/// # Errors
/// What is wrong with the file, as a part of a sentence about it: not an image, an unsupported format, truncated or
/// damaged data, a missing band, or refused by `check`.
pub(super) fn decode_raster(
    bytes: &[u8],
    page: Option<u32>,
    name: &str,
    options: &DecodeOptions,
    warnings: &Warnings,
    check: &dyn Fn(Footprint) -> Result<(), String>,
) -> Result<SourceRaster, String> {
    let kind = sniff::identify_bytes(bytes);
    // Concatenated images in a file are decoded one by one; pages within an image are found by its decoder.
    if let Some(page) = page
        && pages::count_in_stream(bytes) > 1
    {
        let image = pages::image_of_stream(bytes, page);
        return decode_raster(image, None, name, options, warnings, check);
    }
    let frame = page.map(|page| page as usize - 1);
    let mut raster = match kind {
        FileKind::Image(ImageFormat::Jpeg) => {
            let decoded = jpeg::decode(bytes, check)?;
            if decoded.stray_bytes > 3 {
                let sentence = format!(
                    "{} bytes of its data belong to no pixel, so part of the picture may be wrong",
                    decoded.stray_bytes
                );
                warnings.add("JPEG with stray data", name, sentence);
            }
            if decoded.lacks_fine_scans {
                let sentence =
                    "ends before its finest details, which a complete progressive JPEG has";
                warnings.add("coarse progressive JPEG", name, sentence);
            }
            decoded.raster
        }
        FileKind::Image(ImageFormat::Tiff) => {
            let decoded = tiff::decode(bytes, frame.unwrap_or(0), options.bands, check)?;
            for note in decoded.notes {
                warnings.add("TIFF with more than is shown", name, note);
            }
            return Ok(decoded.raster);
        }
        FileKind::Image(format) => codec::decode(bytes, format, frame, options.max_memory, check)?,
        FileKind::OwnPicture => {
            codec::decode(bytes, ImageFormat::Png, frame, options.max_memory, check)?
        }
        FileKind::Foreign(format) => {
            return foreign::decode(format, bytes, frame, options.max_memory, check);
        }
        FileKind::Clip(clip) => {
            return Err(format!(
                "is a video clip ({clip}), not a photo; `dino depth`, `segment`, `pca` and `run` make films of clips that are named \
                 as .mp4, .mkv and the like, and ffmpeg -i CLIP -vf fps=1 frame-%05d.png takes pictures out"
            ));
        }
        FileKind::UnsupportedPicture(what) => {
            return Err(format!(
                "{what} is not supported; convert it to JPEG or PNG first"
            ));
        }
        FileKind::Tar => {
            return Err(
                "is a tar archive, whose photos are found by their places in a file; save it as one, and name that"
                    .into(),
            );
        }
        FileKind::Other if bytes.is_empty() => return Err("is empty".into()),
        FileKind::Other => {
            return Err("is not an image (known are JPEG, PNG, WebP, TIFF, GIF, BMP, PNM, QOI, ICO, farbfeld, JPEG XL, JPEG 2000, and with other programs AVIF, HEIC and camera raw)".into());
        }
    };
    if options.bands.is_some() {
        select_bands(&mut raster, options)?;
    }
    raster.orientation = EmbeddedMetadata::of(bytes).orientation();
    Ok(raster)
}

/// Keeps the bands that the options name, as red, green and blue; alpha and the ICC profile no longer apply.
///
/// # Errors
/// Names a band that the image does not have.
fn select_bands(raster: &mut SourceRaster, options: &DecodeOptions) -> Result<(), String> {
    let Some(bands) = options.bands else {
        return Ok(());
    };
    let channels = raster.channels();
    if let Some(band) = bands.iter().find(|&&band| usize::from(band) > channels) {
        return Err(format!("has {channels} bands, so there is no band {band}"));
    }
    fn pick<T: Copy>(values: &[T], channels: usize, bands: [u16; 3]) -> Vec<T> {
        let pixels = values.chunks_exact(channels);
        pixels
            .flat_map(|pixel| bands.map(|band| pixel[usize::from(band) - 1]))
            .collect()
    }
    raster.samples = match &raster.samples {
        RasterSamples::U8(values) => RasterSamples::U8(pick(values, channels, bands)),
        RasterSamples::U16(values) => RasterSamples::U16(pick(values, channels, bands)),
        RasterSamples::F32(values) => RasterSamples::F32(pick(values, channels, bands)),
    };
    raster.colour = ColorModel::Rgb;
    raster.alpha = Alpha::None;
    raster.icc = None;
    Ok(())
}
