//! TIFF, as scanners, GIS and microscopes write it.
//!
//! TIFF 6.0 and its supplements, BigTIFF, and what GDAL, Adobe and libtiff added. The tags are read here and not by the
//! `tiff` crate, which refuses a file before its bytes can be had where it does not know a kind of colours (palette,
//! L*a*b*, subsampled chroma), bits or compression; the compressions themselves are those of the crates that `tiff` uses
//! too. What cannot be read is named.

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
mod streams;
mod tags;
#[cfg(test)]
mod tests;
mod ycbcr;

use image::metadata::Orientation;

use self::bands::{BandSelection, SampleConversion};
use self::directory::{Ifd, Tiff};
use self::layout::TiffLayout;
use super::footprint::Footprint;
use super::metadata::xmp_value;
use super::raster::{Alpha, ColorModel, RasterSamples, SourceRaster};

/// One page, and what should be said of how it was read.
#[derive(Debug)]
pub(super) struct DecodedTiffPage {
    /// The page.
    pub raster: SourceRaster,
    /// Sentences that follow the file's name.
    pub notes: Vec<String>,
}

/// Pages that are images of their own: smaller copies, transparency masks and sub-images are none. At least 1.
pub(super) fn count_pages(bytes: &[u8]) -> usize {
    match Tiff::open(bytes) {
        Ok((tiff, first)) => pages::count(tiff, first),
        Err(_) => 1,
    }
}

/// Decodes page `page`, from 0, as [`count_pages`] counts. `bands` are the numbers, from 1, of the bands to show as red,
/// green and blue; three equal ones are shown in grey. `check` sees the width and height before anything is allocated.
///
/// # Errors
/// A fragment that follows the file's name: what is damaged, or the name of a kind that cannot be read.
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
    // No pixels lie where the file's own header does.
    let chunks = || (0..layout.grid.len()).map(|index| layout.grid.chunk_location(index));
    if chunks().any(|(offset, count)| offset == 0 && count != Some(0)) {
        let noun = layout.grid.chunk_noun();
        return Err(format!(
            "damaged TIFF: the place of one of its {noun} is not given"
        ));
    }
    let mut absent = chunks().filter(|&place| place == (0, Some(0)));
    // GDAL leaves out what is empty; elsewhere a file was never finished.
    let by_gdal = [tags::GDAL_METADATA, tags::GDAL_NODATA, tags::GEO_KEYS];
    if !by_gdal.iter().any(|&tag| directory.has(tag)) && absent.next().is_some() {
        return Err(format!(
            "truncated TIFF: {} of its {} {} are not there",
            1 + absent.count(),
            layout.grid.len(),
            layout.grid.chunk_noun()
        ));
    }
    let choice = BandSelection::of(&directory, &layout, bands)?;
    let nodata = directory
        .text(tags::GDAL_NODATA)
        .and_then(|text| text.parse().ok());
    let kept = layout.sample.unpacked_bytes();
    // A chunk that is a JPEG or WebP is unpacked whole, and may be all of the image.
    let beside = u64::from(layout.samples_per_pixel) * kept as u64 + 3;
    check(Footprint::new((width, height), choice.samples.len(), kept).with_scratch(beside))?;
    let samples = chunks::assemble(&directory, &layout, &choice.samples, nodata.unwrap_or(0.0))?;
    let raster = SourceRaster {
        width,
        height,
        colour: choice.colour,
        alpha: choice.alpha,
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
    let raster = convert(raster, &choice.conversion)?;
    Ok(DecodedTiffPage {
        raster: match choice.shown_channels {
            Some(channels) => pick(raster, channels.map(usize::from)),
            None => raster,
        },
        notes: choice.notes,
    })
}

fn orientation(directory: &Ifd) -> Orientation {
    let noted = directory.integer(tags::ORIENTATION).ok().flatten();
    // XMP speaks where the tag is silent.
    let value = noted.or_else(|| {
        let xmp = directory.bytes(tags::XMP).ok()??;
        xmp_value(xmp, "tiff:Orientation")?.parse().ok()
    });
    let value = value.and_then(|value| u8::try_from(value).ok());
    value
        .and_then(Orientation::from_exif)
        .unwrap_or(Orientation::NoTransforms)
}

/// Samples as stored become those of the raster's colour model.
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

/// From 0 as white to 0 as black, all but opacity.
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

/// Only these of a raster's red, green and blue, and its opacity.
fn pick(raster: SourceRaster, channels: [usize; 3]) -> SourceRaster {
    let is_grey = channels[0] == channels[1] && channels[1] == channels[2];
    let shown = if is_grey {
        &channels[..1]
    } else {
        &channels[..]
    };
    let all = raster.channels();
    let opacity = 3..all;
    fn each<T: Copy>(values: &[T], all: usize, order: &[usize]) -> Vec<T> {
        let pixels = values.chunks_exact(all);
        pixels
            .flat_map(|pixel| order.iter().map(|&channel| pixel[channel]))
            .collect()
    }
    let order: Vec<usize> = shown.iter().copied().chain(opacity).collect();
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
