//! TIFF, as written by scanners, GIS and microscopes: decodes one page of a file to a [`SourceRaster`].
//!
//! Supports TIFF 6.0 and its supplements, BigTIFF, and the additions of GDAL, Adobe and libtiff. The tags are read here
//! and not by the crate `tiff`, which refuses a file with colours (palette, L*a*b*, subsampled chroma), bits or a
//! compression that it does not support; the compressions are decoded by the same crates that `tiff` uses. Errors name
//! unsupported features.
//!
//! [`pages`] finds the [`directory`] of a page, [`layout`] and [`grid`] read its tags, [`bands`] selects the samples to
//! show, [`chunks`] unpacks them ([`compression`], then [`bits`]), and [`decode`] converts their colours.

mod bands;
mod bits;
mod chunks;
mod compression;
mod directory;
mod fax;
mod grid;
mod jpeg;
mod lab;
mod layout;
mod pages;
mod palette;
mod photometric;
mod streams;
mod tags;
#[cfg(test)]
mod tests;
mod unpack;
mod ycbcr;

use image::metadata::Orientation;

use self::bands::{BandSelection, SampleConversion};
use self::directory::{Ifd, Tiff};
use self::layout::TiffLayout;
use super::footprint::Footprint;
use super::metadata::xmp_value;
use super::raster::{Alpha, ColorModel, RasterSamples, SourceRaster};

/// A decoded page, and what the user should know of how it was read.
#[derive(Debug)]
pub(super) struct DecodedTiffPage {
    /// The samples of the page.
    pub raster: SourceRaster,
    /// Sentences that follow the name of the file.
    pub notes: Vec<String>,
}

/// The number of pages, at least 1; smaller copies, transparency masks and sub-images are none.
pub(super) fn count_pages(bytes: &[u8]) -> usize {
    match Tiff::open(bytes) {
        Ok((tiff, first)) => pages::count(tiff, first),
        Err(_) => 1,
    }
}

/// Decodes page `page`, from 0, as [`count_pages`] counts. `bands` are the numbers, from 1, of the bands to show as
/// red, green and blue; three equal ones are shown in grey. `check` may refuse the [`Footprint`] before anything is
/// allocated: first with the size alone, then with the bytes per pixel.
///
/// # Errors
/// What is damaged, or which kind of TIFF is not supported, as a part of a sentence about the file.
pub(super) fn decode(
    bytes: &[u8],
    page: usize,
    bands: Option<[u16; 3]>,
    check: impl Fn(Footprint) -> Result<(), String>,
) -> Result<DecodedTiffPage, String> {
    let (tiff, first) = Tiff::open(bytes)?;
    let directory = pages::find(tiff, first, page)?;
    let (width, height) = layout::size(&directory)?;
    check(Footprint::new((width, height), 0, 0))?;
    if width == 0 || height == 0 {
        return Err(format!("has no pixels ({width} x {height})"));
    }
    let layout = TiffLayout::read(&directory)?;
    // Offset 0 is the header of the file, so that no pixels can be there.
    let chunks = || (0..layout.grid.len()).map(|index| layout.grid.chunk_location(index));
    if chunks().any(|(offset, count)| offset == 0 && count != Some(0)) {
        let noun = layout.grid.chunk_noun();
        return Err(format!(
            "damaged TIFF: the place of one of its {noun} is not given"
        ));
    }
    let mut absent = chunks().filter(|&location| location == (0, Some(0)));
    // GDAL omits empty chunks; in other files a missing chunk means that the file was never finished.
    let gdal_tags = [tags::GDAL_METADATA, tags::GDAL_NODATA, tags::GEO_KEYS];
    if !gdal_tags.iter().any(|&tag| directory.has(tag)) && absent.next().is_some() {
        return Err(format!(
            "truncated TIFF: {} of its {} {} are not there",
            1 + absent.count(),
            layout.grid.len(),
            layout.grid.chunk_noun()
        ));
    }
    let selection = BandSelection::of(&directory, &layout, bands)?;
    let nodata = directory
        .text(tags::GDAL_NODATA)
        .and_then(|text| text.parse().ok());
    let sample_bytes = layout.sample.unpacked_bytes();
    // A JPEG or WebP chunk is unpacked as a whole, and may be all of the image.
    let scratch = u64::from(layout.samples_per_pixel) * sample_bytes as u64 + 3;
    let footprint = Footprint::new((width, height), selection.samples.len(), sample_bytes);
    check(footprint.with_scratch(scratch))?;
    let samples = chunks::assemble(
        &directory,
        &layout,
        &selection.samples,
        nodata.unwrap_or(0.0),
    )?;
    let raster = SourceRaster {
        width,
        height,
        colour: selection.colour,
        alpha: selection.alpha,
        samples,
        white: layout.sample.white(),
        nodata,
        icc: directory
            .bytes(tags::ICC_PROFILE)
            .ok()
            .flatten()
            .map(<[u8]>::to_vec),
        orientation: orientation(&directory),
    };
    let raster = convert(raster, &selection.conversion)?;
    Ok(DecodedTiffPage {
        raster: match selection.shown_channels {
            Some(channels) => select_channels(raster, channels.map(usize::from)),
            None => raster,
        },
        notes: selection.notes,
    })
}

/// The transform that makes the stored image upright, from tag 274 or, where that is missing, XMP.
fn orientation(directory: &Ifd) -> Orientation {
    let recorded = directory.integer(tags::ORIENTATION).ok().flatten();
    let value = recorded.or_else(|| {
        let xmp = directory.bytes(tags::XMP).ok()??;
        xmp_value(xmp, "tiff:Orientation")?.parse().ok()
    });
    let value = value.and_then(|value| u8::try_from(value).ok());
    value
        .and_then(Orientation::from_exif)
        .unwrap_or(Orientation::NoTransforms)
}

/// Converts stored samples to those of the raster's colour model.
///
/// # Errors
/// Names an index that the palette does not have.
fn convert(
    mut raster: SourceRaster,
    conversion: &SampleConversion,
) -> Result<SourceRaster, String> {
    let extra = usize::from(raster.alpha != Alpha::None);
    match conversion {
        SampleConversion::None => {}
        SampleConversion::Invert => invert(&mut raster),
        SampleConversion::Palette(palette) => {
            raster.samples = RasterSamples::U8(palette.apply(&raster.samples, 1 + extra)?);
            raster.white = 255.0;
            raster.nodata = None;
        }
        SampleConversion::YCbCr(ycbcr) => {
            if let RasterSamples::U8(values) = &mut raster.samples {
                ycbcr.apply(values, 3 + extra);
            }
            raster.nodata = None;
        }
        SampleConversion::Lab(encoding) => {
            raster.samples = encoding.apply(raster.samples, 3 + extra);
            raster.white = match raster.samples {
                RasterSamples::U8(_) => 255.0,
                _ => 65535.0,
            };
            raster.nodata = None;
        }
    }
    Ok(raster)
}

/// Makes 0 black where it was white, in all samples but alpha.
fn invert(raster: &mut SourceRaster) {
    let (all, colours, white) = (raster.channels(), raster.colour.channels(), raster.white);
    fn each<T: Copy>(values: &mut [T], all: usize, colours: usize, to: impl Fn(T) -> T) {
        for pixel in values.chunks_exact_mut(all) {
            pixel[..colours]
                .iter_mut()
                .for_each(|value| *value = to(*value));
        }
    }
    match &mut raster.samples {
        RasterSamples::U8(values) => each(values, all, colours, |value| white as u8 - value),
        RasterSamples::U16(values) => each(values, all, colours, |value| white as u16 - value),
        RasterSamples::F32(values) => each(values, all, colours, |value| white - value),
    }
    raster.nodata = raster.nodata.map(|value| f64::from(white - value as f32));
}

/// Keeps the given channels of a raster's red, green and blue, and its alpha; three equal ones become grey.
fn select_channels(raster: SourceRaster, channels: [usize; 3]) -> SourceRaster {
    let is_grey = channels[0] == channels[1] && channels[1] == channels[2];
    let shown = if is_grey {
        &channels[..1]
    } else {
        &channels[..]
    };
    let all = raster.channels();
    let alpha = 3..all;
    fn each<T: Copy>(values: &[T], all: usize, order: &[usize]) -> Vec<T> {
        let pixels = values.chunks_exact(all);
        pixels
            .flat_map(|pixel| order.iter().map(|&channel| pixel[channel]))
            .collect()
    }
    let order: Vec<usize> = shown.iter().copied().chain(alpha).collect();
    SourceRaster {
        colour: if is_grey {
            ColorModel::Grey
        } else {
            ColorModel::Rgb
        },
        samples: match &raster.samples {
            RasterSamples::U8(values) => RasterSamples::U8(each(values, all, &order)),
            RasterSamples::U16(values) => RasterSamples::U16(each(values, all, &order)),
            RasterSamples::F32(values) => RasterSamples::F32(each(values, all, &order)),
        },
        ..raster
    }
}
