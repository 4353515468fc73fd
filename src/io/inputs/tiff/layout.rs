//! The layout of one TIFF image: size, type and meaning of its samples, compression and chunks, read from its tags and
//! checked against each other.

use super::bits::{SampleFormat, SampleType};
use super::compression::Compression;
use super::directory::{Ifd, TRUNCATED};
use super::grid::ChunkGrid;
use super::photometric::{BLACK_IS_ZERO, RGB, WHITE_IS_ZERO, YCBCR};
use super::tags;

/// The tags that every kind of image has.
#[derive(Debug)]
pub(super) struct TiffLayout {
    /// Width in pixels, as stored.
    pub width: u32,
    /// Height in pixels, as stored.
    pub height: u32,
    /// Stored samples per pixel, at least 1.
    pub samples_per_pixel: u16,
    /// The type of the samples.
    pub sample: SampleType,
    /// What the samples mean (PhotometricInterpretation, tag 262), as [`photometric`](super::photometric) names it.
    pub photometric: u16,
    /// What the samples beyond the colours are (ExtraSamples, tag 338): 1 premultiplied alpha, 2 alpha, 0 unspecified.
    pub extra_samples: Vec<u16>,
    /// The compression of the chunks.
    pub compression: Compression,
    /// The predictor: 1 none, 2 horizontal differences, 3 differences of the bytes of floats.
    pub predictor: u16,
    /// Whether each sample of a pixel has chunks of its own.
    pub is_planar: bool,
    /// Pixels per chroma sample, across and down, in chunks that hold fewer chroma than luma samples; else `(1, 1)`.
    pub subsampling: (u32, u32),
    /// The strips or tiles.
    pub grid: ChunkGrid,
}

/// Width and height of the image in pixels.
///
/// # Errors
/// Names the tag that is missing or too large.
pub(super) fn size(directory: &Ifd) -> Result<(u32, u32), String> {
    let side = |tag| {
        let side = directory.integer(tag)?;
        side.and_then(|side| u32::try_from(side).ok())
            .ok_or_else(|| format!("damaged TIFF: its tag {tag} does not give its size"))
    };
    Ok((side(tags::IMAGE_WIDTH)?, side(tags::IMAGE_LENGTH)?))
}

impl TiffLayout {
    /// Reads the tags of one image.
    ///
    /// # Errors
    /// Names the kind of image that is not supported, or the tag that is damaged or contradicts another.
    pub fn read(directory: &Ifd) -> Result<Self, String> {
        let (width, height) = size(directory)?;
        let short = |tag, default: u16| -> Result<u16, String> {
            match directory.integer(tag)? {
                None => Ok(default),
                Some(value) => u16::try_from(value)
                    .map_err(|_| format!("damaged TIFF: its tag {tag} is {value}")),
            }
        };
        let bits = directory
            .integers(tags::BITS_PER_SAMPLE)?
            .unwrap_or(vec![1]);
        // Some writers state the number of samples only by the length of BitsPerSample.
        let samples = short(tags::SAMPLES_PER_PIXEL, bits.len().try_into().unwrap_or(0))?;
        if samples == 0 {
            return Err("damaged TIFF: its pixels have no samples".into());
        }
        let photometric = directory.integer(tags::PHOTOMETRIC)?;
        let sample = sample_type(directory, samples, &bits, photometric)?;
        let planar = match short(tags::PLANAR_CONFIGURATION, 1)? {
            1 => false,
            2 => samples > 1,
            other => return Err(format!("damaged TIFF: its planar configuration is {other}")),
        };
        let extra = directory.integers(tags::EXTRA_SAMPLES)?.unwrap_or_default();
        let extra: Vec<u16> = extra
            .iter()
            .map(|&kind| kind.try_into().unwrap_or(0))
            .collect();
        let compression = Compression::read(directory, samples, sample)?;
        let predictor = match compression.supports_predictor() {
            true => short(tags::PREDICTOR, 1)?,
            false => 1,
        };
        let photometric = match photometric {
            Some(value) => u16::try_from(value).unwrap_or(u16::MAX),
            // If the tag is missing, guess as libtiff does.
            None if compression.is_fax() => WHITE_IS_ZERO,
            None if usize::from(samples) >= extra.len() + 3 => RGB,
            None => BLACK_IS_ZERO,
        };
        check_predictor(predictor, sample)?;
        let subsampling = match photometric == YCBCR && !compression.upsamples() {
            true => chroma_subsampling(directory)?,
            false => (1, 1),
        };
        if subsampling != (1, 1) && (planar || samples != 3 || sample.bits != 8 || predictor != 1) {
            return Err(format!(
                "this TIFF has YCbCr colours with less chroma than luma, stored {}, which is not supported; convert it to RGB first",
                match (planar, predictor) {
                    (true, _) => "in planes",
                    (_, 2..) => "as differences",
                    _ => "other than as three samples of 8 bits",
                }
            ));
        }
        let line = line_bytes(if planar { 1 } else { samples }, sample, width, subsampling);
        let grid = ChunkGrid::read(
            directory,
            (width, height),
            if planar { samples } else { 1 },
            |bytes| match compression {
                Compression::None => line.map(|(line, rows)| bytes / line.max(1) * u64::from(rows)),
                _ => None,
            },
        )?;
        Ok(TiffLayout {
            width,
            height,
            samples_per_pixel: samples,
            sample,
            photometric,
            extra_samples: extra,
            compression,
            predictor,
            is_planar: planar,
            subsampling,
            grid,
        })
    }

    /// Samples per pixel in one chunk: 1 if each sample has chunks of its own.
    pub fn chunk_samples(&self) -> u16 {
        if self.is_planar {
            1
        } else {
            self.samples_per_pixel
        }
    }

    /// The size in bytes of one line of an unpacked chunk, and the number of pixel rows that it holds.
    ///
    /// # Errors
    /// If a line would exceed 2 GiB.
    pub fn line_size(&self) -> Result<(usize, u32), String> {
        line_bytes(
            self.chunk_samples(),
            self.sample,
            self.grid.chunk_width,
            self.subsampling,
        )
        .filter(|&(bytes, _)| bytes <= 1 << 31)
        .map(|(bytes, rows)| (bytes as usize, rows))
        .ok_or_else(|| {
            format!(
                "damaged TIFF: a row of {} pixels with {} samples of {} bits is too long",
                self.grid.chunk_width, self.samples_per_pixel, self.sample.bits
            )
        })
    }
}

/// As [`TiffLayout::line_size`], for a chunk of `width` pixels; `None` if the size overflows.
fn line_bytes(
    samples: u16,
    sample: SampleType,
    width: u32,
    (across, down): (u32, u32),
) -> Option<(u64, u32)> {
    if (across, down) != (1, 1) {
        let blocks = u64::from(width.div_ceil(across));
        return Some((blocks * u64::from(across * down + 2), down));
    }
    let bits = u64::from(width) * u64::from(samples);
    Some((bits.checked_mul(u64::from(sample.bits))?.div_ceil(8), 1))
}

/// The type of all samples.
///
/// # Errors
/// If the samples differ in type, or have an unsupported width or format.
fn sample_type(
    directory: &Ifd,
    samples: u16,
    bits: &[u64],
    photometric: Option<u64>,
) -> Result<SampleType, String> {
    let list = |values: &[u64]| {
        let values: Vec<String> = values.iter().map(u64::to_string).collect();
        values.join(", ")
    };
    let bits = &bits[..bits.len().min(samples.into())];
    let Some((&first, rest)) = bits.split_first() else {
        return Err("damaged TIFF: its samples have no bits".into());
    };
    if rest.iter().any(|&other| other != first) {
        return Err(format!(
            "this TIFF has samples of unequal widths ({} bits), which is not supported; convert it to 8 or 16 bits first",
            list(bits)
        ));
    }
    let formats = directory.integers(tags::SAMPLE_FORMAT)?.unwrap_or_default();
    let formats = &formats[..formats.len().min(samples.into())];
    // In L*a*b*, only a and b have a sign, whatever the tag says.
    let is_lab = matches!(photometric, Some(8..=10)) && !formats.contains(&3);
    let formats = if is_lab { &[] } else { formats };
    if formats.iter().any(|&format| format != formats[0]) {
        return Err(format!(
            "this TIFF has samples of several formats ({}) in one pixel, which is not supported; convert it to one format first",
            list(formats)
        ));
    }
    let format = match formats.first() {
        // 4 is undefined, which libtiff reads as unsigned.
        None | Some(0 | 1 | 4) => SampleFormat::Unsigned,
        Some(2) => SampleFormat::Signed,
        Some(3) => SampleFormat::Float,
        Some(5 | 6) => {
            return Err("this TIFF has complex numbers, which are not supported; convert it to their magnitudes first".into());
        }
        Some(other) => return Err(format!("damaged TIFF: its sample format is {other}")),
    };
    let known = match format {
        SampleFormat::Float => matches!(first, 16 | 24 | 32 | 64),
        _ => matches!(first, 1..=32 | 64),
    };
    match known {
        true => Ok(SampleType {
            format,
            bits: first as u16,
        }),
        false => Err(format!(
            "this TIFF has {} of {first} bits, which are not supported; convert it to 8, 16 or 32 bits first",
            match format {
                SampleFormat::Float => "floats",
                _ => "integers",
            }
        )),
    }
}

/// Checks that the predictor is known and applies to samples of this type.
fn check_predictor(predictor: u16, sample: SampleType) -> Result<(), String> {
    match (predictor, sample.bits, sample.format) {
        (1, ..) | (2, 8 | 16 | 32 | 64, _) | (3, _, SampleFormat::Float) => Ok(()),
        (2 | 3, bits, _) => Err(format!(
            "this TIFF has samples of {bits} bits with predictor {predictor}, which is not supported; save it without a predictor first"
        )),
        (other, ..) => Err(format!(
            "this TIFF has predictor {other}, which is not supported; save it without a predictor first"
        )),
    }
}

/// The subsampling of chroma, across and down (tag 530); 2 by 2 without the tag.
fn chroma_subsampling(directory: &Ifd) -> Result<(u32, u32), String> {
    match directory.integers(tags::YCBCR_SUBSAMPLING)?.as_deref() {
        None => Ok((2, 2)),
        Some(&[across @ (1 | 2 | 4), down @ (1 | 2 | 4)]) => Ok((across as u32, down as u32)),
        Some(_) => Err("damaged TIFF: its chroma subsampling (tag 530) is not 1, 2 or 4".into()),
    }
}

/// The packed data of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkData<'a> {
    /// Not stored: GDAL omits chunks that hold only nodata.
    Missing,
    /// Stored in the file.
    Stored {
        /// The packed bytes, at most up to the end of the file.
        packed: &'a [u8],
        /// Whether the file ends before the chunk does.
        is_truncated: bool,
    },
}

impl TiffLayout {
    /// The packed data of chunk `index`, which has `needed` bytes once unpacked.
    ///
    /// # Errors
    /// [`TRUNCATED`] if the chunk begins after the end of the file.
    pub fn chunk<'a>(
        &self,
        directory: &Ifd<'a>,
        index: usize,
        needed: u64,
    ) -> Result<ChunkData<'a>, String> {
        let (offset, count) = match self.grid.chunk_location(index) {
            (0, Some(0)) => return Ok(ChunkData::Missing),
            (offset, count) => (offset, count.filter(|&count| count > 0)),
        };
        let bytes = directory.tiff.bytes;
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| bytes.get(offset..));
        let rest = rest.filter(|rest| !rest.is_empty()).ok_or(TRUNCATED)?;
        let count = match count {
            // The only chunk of an uncompressed image is as long as its pixels, whatever its byte count.
            _ if self.compression == Compression::None && self.grid.len() == 1 => needed,
            Some(count) => count,
            None => self
                .grid
                .next_offset(offset)
                .map_or(rest.len() as u64, |next| next - offset),
        };
        let held = usize::try_from(count).unwrap_or(usize::MAX).min(rest.len());
        Ok(ChunkData::Stored {
            packed: &rest[..held],
            is_truncated: count > held as u64,
        })
    }
}
