//! TIFF 6.0 and BigTIFF as they are stored: integers and floats of 8, 16, 32 or 64 bits (grey also 1, 2 and 4),
//! palettes as indices, and colours.

use std::io::Cursor;

use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::{PhotometricInterpretation, PlanarConfiguration, Tag};
use tiff::{ColorType, TiffError, TiffUnsupportedError};

use super::raster::{LabelRaster, RasterContent, deep_colors, unpack};

/// GDAL_NODATA: the number that stands for no value, as text.
const GDAL_NODATA: Tag = Tag::Unknown(42113);

/// Largest image in bytes, unpacked.
const LARGEST: usize = 4 << 30;

/// Decodes a TIFF of one page; reduced copies of it are ignored.
pub(super) fn decode(bytes: &[u8]) -> Result<LabelRaster, String> {
    let mut decoder = open(bytes).map_err(|error| explain(&error))?;
    let photometric = decoder
        .find_tag_unsigned::<u16>(Tag::PhotometricInterpretation)
        .map_err(|error| explain(&error))?
        .and_then(PhotometricInterpretation::from_u16);
    if photometric != Some(PhotometricInterpretation::RGBPalette) {
        return read(decoder);
    }
    // The `tiff` crate refuses palettes, but reads the same indices as grey numbers.
    let directory = decoder.ifd_pointer().map_or(0, |pointer| pointer.0);
    let map = decoder
        .get_tag_u16_vec(Tag::ColorMap)
        .map_err(|error| explain(&error))?;
    let grey = as_grey(bytes, directory).ok_or("is a damaged TIFF: its directory is cut")?;
    let mut raster = open(&grey)
        .map_err(|error| explain(&error))
        .and_then(read)?;
    let third = map.len() / 3;
    // Some programs write 8-bit colours where 16 bits are meant; libtiff makes the same allowance.
    let shift = if map.iter().all(|&value| value < 256) {
        0
    } else {
        8
    };
    let palette = (0..third).map(|i| [0, 1, 2].map(|c| (map[c * third + i] >> shift) as u8));
    if let RasterContent::Integers { values, bits: ..=8 } = &raster.content {
        raster.content = RasterContent::Indexed {
            indices: values.iter().map(|&v| v as u8).collect(),
            palette: palette.collect(),
        };
    }
    Ok(raster)
}

/// A decoder with limits for large images.
fn open(bytes: &[u8]) -> Result<Decoder<Cursor<&[u8]>>, TiffError> {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = LARGEST;
    limits.intermediate_buffer_size = LARGEST;
    limits.ifd_value_size = 64 << 20;
    Ok(Decoder::new(Cursor::new(bytes))?.with_limits(limits))
}

/// Reads the only page.
fn read(mut decoder: Decoder<Cursor<&[u8]>>) -> Result<LabelRaster, String> {
    let mut raster = page(&mut decoder).map_err(|why| match why {
        TiffPageError::Message(why) => why,
        TiffPageError::Tiff(error) => explain(&error),
    })?;
    let mut pages = 1;
    while decoder.more_images() {
        // A page that cannot be read counts, too.
        let is_read = decoder.next_image().is_ok();
        let kind = decoder.find_tag_unsigned::<u32>(Tag::NewSubfileType);
        // The lowest bit marks a reduced copy of another page.
        if !is_read || kind.ok().flatten().unwrap_or(0) & 1 == 0 {
            pages += 1;
        }
        if !is_read {
            break;
        }
    }
    if pages > 1 {
        return Err("is a TIFF of several pages; a label has one".into());
    }
    raster.format = "TIFF";
    Ok(raster)
}

/// Why a page cannot be read.
enum TiffPageError {
    Message(String),
    Tiff(TiffError),
}

impl From<TiffError> for TiffPageError {
    fn from(error: TiffError) -> Self {
        TiffPageError::Tiff(error)
    }
}

/// Reads the current page.
fn page(decoder: &mut Decoder<Cursor<&[u8]>>) -> Result<LabelRaster, TiffPageError> {
    let (width, height) = decoder.dimensions()?;
    let size = (width as usize, height as usize);
    let color = decoder.colortype()?;
    let (bits, channels) = (color.bit_depth(), usize::from(color.num_samples()));
    let whole = matches!(bits, 8 | 16 | 32 | 64) || (channels == 1 && matches!(bits, 1 | 2 | 4));
    if !whole {
        return Err(TiffPageError::Message(format!(
            "is a TIFF of {bits}-bit numbers, which cannot be read; save it with 8, 16 or 32 bits"
        )));
    }
    let white = PhotometricInterpretation::WhiteIsZero.to_u16();
    let photometric = decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation)?;
    if photometric == Some(white) {
        return Err(TiffPageError::Message(
            "is a TIFF whose numbers count from white (WhiteIsZero), so that it is not known whether they are \
             meant as stored or as shown; save it with 0 as black (in tifffile, photometric='minisblack')"
                .into(),
        ));
    }
    let planar = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration)?;
    let is_planar = planar == Some(PlanarConfiguration::Planar.to_u16()) && channels > 1;
    let nodata = decoder.get_tag_ascii_string(GDAL_NODATA).ok();
    let nodata = nodata.and_then(|text| text.trim_matches([' ', '\0']).parse::<f64>().ok());
    let notes = own_notes(decoder);
    let mut result = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut result)?;
    let pixels = size.0 * size.1;
    let at = |pixel: usize, channel: usize| match is_planar {
        true => channel * pixels + pixel,
        false => pixel * channels + channel,
    };
    let samples = TiffSamples::of(result, bits, size);
    if samples.len() < pixels * channels || layout.planes < 1 {
        return Err(TiffPageError::Message(
            "is a TIFF whose bands are not all there".into(),
        ));
    }
    let mut transparent = 0;
    let content = match color {
        ColorType::Gray(_) => samples.content(pixels, |pixel| at(pixel, 0)),
        ColorType::GrayA(_) | ColorType::Multiband { num_samples: 2, .. } => {
            transparent = (0..pixels)
                .filter(|&pixel| !samples.is_opaque(at(pixel, 1)))
                .count();
            samples.content(pixels, |pixel| at(pixel, 0))
        }
        ColorType::RGB(8) | ColorType::RGBA(8) | ColorType::RGB(16) | ColorType::RGBA(16) => {
            if channels == 4 {
                transparent = (0..pixels)
                    .filter(|&pixel| !samples.is_opaque(at(pixel, 3)))
                    .count();
            }
            let triple = |pixel: usize| [0, 1, 2].map(|c| samples.integer(at(pixel, c)) as u16);
            match bits {
                8 => {
                    RasterContent::Colors((0..pixels).map(|p| triple(p).map(|v| v as u8)).collect())
                }
                _ => deep_colors((0..pixels).map(triple).collect()),
            }
        }
        ColorType::Multiband { num_samples, .. } => {
            return Err(TiffPageError::Message(format!(
                "is a TIFF of {num_samples} bands; a label has one number a pixel"
            )));
        }
        _ => RasterContent::OtherColors("colours that are not red, green and blue"),
    };
    let mut raster = LabelRaster::new(size, content, "TIFF");
    raster.transparent = transparent;
    raster.notes = notes;
    if let (RasterContent::Floats(values), Some(nodata)) = (&mut raster.content, nodata) {
        // The stated number may have more digits than the stored f32.
        let is_none = |value: f64| value == nodata || value == f64::from(nodata as f32);
        for value in values.iter_mut().filter(|value| is_none(**value)) {
            *value = f64::NAN;
        }
    }
    if let (RasterContent::Integers { .. }, Some(nodata)) = (&raster.content, nodata) {
        raster.nodata = Some(nodata as i64).filter(|&none| none as f64 == nodata);
    }
    Ok(raster)
}

/// The samples of a page: integers with their bits and whether they are signed, or floats.
enum TiffSamples {
    Integers(Vec<i64>, u8, bool),
    Floats(Vec<f64>),
}

impl TiffSamples {
    /// The samples that the `tiff` crate decoded.
    fn of(result: DecodingResult, bits: u8, size: (usize, usize)) -> Self {
        fn whole<T: Copy + Into<i64>>(values: &[T], bits: u8, signed: bool) -> TiffSamples {
            let values = values.iter().map(|&value| value.into());
            TiffSamples::Integers(values.collect(), bits, signed)
        }
        match result {
            DecodingResult::U8(bytes) if bits < 8 => {
                whole(&unpack(&bytes, size, usize::from(bits)), bits, false)
            }
            DecodingResult::U8(values) => whole(&values, bits, false),
            DecodingResult::U16(values) => whole(&values, bits, false),
            DecodingResult::U32(values) => whole(&values, bits, false),
            DecodingResult::U64(values) => {
                let narrow = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
                TiffSamples::Integers(values.into_iter().map(narrow).collect(), bits, false)
            }
            DecodingResult::I8(values) => whole(&values, bits, true),
            DecodingResult::I16(values) => whole(&values, bits, true),
            DecodingResult::I32(values) => whole(&values, bits, true),
            DecodingResult::I64(values) => whole(&values, bits, true),
            DecodingResult::F16(values) => {
                TiffSamples::Floats(values.into_iter().map(f64::from).collect())
            }
            DecodingResult::F32(values) => {
                TiffSamples::Floats(values.into_iter().map(f64::from).collect())
            }
            DecodingResult::F64(values) => TiffSamples::Floats(values),
        }
    }

    fn len(&self) -> usize {
        match self {
            TiffSamples::Integers(values, ..) => values.len(),
            TiffSamples::Floats(values) => values.len(),
        }
    }

    /// A sample as a whole number; 0 where samples are floats.
    fn integer(&self, at: usize) -> i64 {
        match self {
            TiffSamples::Integers(values, ..) => values[at],
            TiffSamples::Floats(_) => 0,
        }
    }

    /// Whether an alpha sample is fully opaque.
    fn is_opaque(&self, at: usize) -> bool {
        match self {
            TiffSamples::Integers(values, bits, signed) => {
                let bits = u32::from(*bits) - u32::from(*signed);
                values[at] as u64 == u64::MAX >> (64 - bits.max(1))
            }
            TiffSamples::Floats(values) => values[at] >= 1.0,
        }
    }

    /// The content with the sample `at(pixel)` of each pixel.
    fn content(&self, pixels: usize, at: impl Fn(usize) -> usize) -> RasterContent {
        match self {
            TiffSamples::Integers(values, bits, _) => RasterContent::Integers {
                values: (0..pixels).map(|pixel| values[at(pixel)]).collect(),
                bits: *bits,
            },
            TiffSamples::Floats(values) => {
                RasterContent::Floats((0..pixels).map(|pixel| values[at(pixel)]).collect())
            }
        }
    }
}

/// The `keyword: value` lines of the description of a TIFF that this program wrote; empty for others.
fn own_notes(decoder: &mut Decoder<Cursor<&[u8]>>) -> Vec<(String, String)> {
    let software = decoder.get_tag_ascii_string(Tag::Software);
    if !software.is_ok_and(|software| software.starts_with("dino ")) {
        return Vec::new();
    }
    let text = decoder
        .get_tag_ascii_string(Tag::ImageDescription)
        .unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    lines.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// A copy of the file with the PhotometricInterpretation of its directory changed to BlackIsZero; none where it is cut.
fn as_grey(bytes: &[u8], directory: u64) -> Option<Vec<u8>> {
    let is_little = bytes.starts_with(b"II");
    let is_big_tiff = bytes[2..4].contains(&43);
    let number = |at: usize, length: usize| -> Option<u64> {
        let word = bytes.get(at..at.checked_add(length)?)?;
        let shift = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(match is_little {
            true => word.iter().rev().fold(0, shift),
            false => word.iter().fold(0, shift),
        })
    };
    let directory = usize::try_from(directory).ok()?;
    // Bytes of the count, of an entry, and of an entry before its value.
    let (count, entry, value) = if is_big_tiff { (8, 20, 12) } else { (2, 12, 8) };
    let entries = number(directory, count)?.min(65_536) as usize;
    let photometric = u64::from(Tag::PhotometricInterpretation.to_u16());
    let mut grey = bytes.to_vec();
    for index in 0..entries {
        let at = directory + count + index * entry;
        if number(at, 2)? == photometric {
            let black = PhotometricInterpretation::BlackIsZero.to_u16();
            let word = match is_little {
                true => black.to_le_bytes(),
                false => black.to_be_bytes(),
            };
            grey.get_mut(at + value..at + value + 2)?
                .copy_from_slice(&word);
            return Some(grey);
        }
    }
    None
}

/// The message for an error of the `tiff` crate.
fn explain(error: &TiffError) -> String {
    match error {
        TiffError::UnsupportedError(TiffUnsupportedError::UnsupportedCompressionMethod(method)) => {
            format!(
                "is a TIFF compressed with {method:?}, which cannot be read; save it with LZW or Deflate"
            )
        }
        TiffError::UnsupportedError(error) => {
            format!("is a TIFF of a kind that cannot be read ({error})")
        }
        error => format!("is a damaged TIFF: {error}"),
    }
}
