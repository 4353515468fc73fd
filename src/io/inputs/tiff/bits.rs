//! Samples of any width: undoes byte order and predictors of an unpacked line, and converts it to [`RasterSamples`].

use half::f16;

use crate::io::inputs::raster::RasterSamples;

/// How the bits of a sample encode a number (tag SampleFormat, 339).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SampleFormat {
    /// Unsigned integers.
    Unsigned,
    /// Signed integers, two's complement.
    Signed,
    /// IEEE floats of 16, 32 or 64 bits, and Adobe's of 24.
    Float,
}

/// The type of the stored samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SampleType {
    /// How its bits encode a number.
    pub format: SampleFormat,
    /// Bits per sample, 1 to 32 or 64.
    pub bits: u16,
}

impl SampleType {
    /// The value of full intensity: the largest integer, or 1 for floats.
    pub fn white(self) -> f32 {
        let bits = match self.format {
            SampleFormat::Float => return 1.0,
            SampleFormat::Signed => self.bits - 1,
            SampleFormat::Unsigned => self.bits,
        };
        ((1u128 << bits) - 1) as f32
    }

    /// `count` samples of `value`, in the narrowest [`RasterSamples`] that can hold this sample type.
    pub fn filled(self, count: usize, value: f64) -> RasterSamples {
        match (self.format, self.bits) {
            (SampleFormat::Unsigned, ..=8) => RasterSamples::U8(vec![value as u8; count]),
            (SampleFormat::Unsigned, ..=16) => RasterSamples::U16(vec![value as u16; count]),
            _ => RasterSamples::F32(vec![value as f32; count]),
        }
    }

    /// Bytes per sample of a raster of this sample type.
    pub fn unpacked_bytes(self) -> usize {
        match (self.format, self.bits) {
            (SampleFormat::Unsigned, ..=8) => 1,
            (SampleFormat::Unsigned, ..=16) => 2,
            _ => 4,
        }
    }

    /// Bytes per stored sample; `None` if samples do not fill whole bytes.
    fn whole_bytes(self) -> Option<usize> {
        self.bits
            .is_multiple_of(8)
            .then_some(usize::from(self.bits / 8))
    }
}

/// Undoes byte order and predictor (tag 317) of a line with `samples` samples per pixel, in place; samples of whole
/// bytes are then little-endian.
pub(super) fn undo_predictor(
    line: &mut [u8],
    sample: SampleType,
    samples: usize,
    predictor: u16,
    big_endian: bool,
) {
    let Some(size) = sample.whole_bytes() else {
        return;
    };
    if predictor == 3 {
        return undo_float_predictor(line, size, samples);
    }
    if big_endian && size > 1 {
        line.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    if predictor == 2 {
        match size {
            1 => undo_differences(line, samples, |[a], [b]| [a.wrapping_add(b)]),
            2 => undo_differences(line, samples, |a, b| {
                u16::from_le_bytes(a)
                    .wrapping_add(u16::from_le_bytes(b))
                    .to_le_bytes()
            }),
            4 => undo_differences(line, samples, |a, b| {
                u32::from_le_bytes(a)
                    .wrapping_add(u32::from_le_bytes(b))
                    .to_le_bytes()
            }),
            _ => undo_differences(line, samples, |a, b| {
                u64::from_le_bytes(a)
                    .wrapping_add(u64::from_le_bytes(b))
                    .to_le_bytes()
            }),
        }
    }
}

/// Predictor 2: adds to each sample that of the previous pixel.
fn undo_differences<const N: usize>(
    line: &mut [u8],
    samples: usize,
    add: impl Fn([u8; N], [u8; N]) -> [u8; N],
) {
    let (values, _) = line.as_chunks_mut::<N>();
    for index in samples..values.len() {
        values[index] = add(values[index - samples], values[index]);
    }
}

/// Predictor 3 (Adobe's TIFF technical note 3): the most significant bytes of all samples, then the next ones, as
/// differences.
fn undo_float_predictor(line: &mut [u8], size: usize, samples: usize) {
    undo_differences(line, samples, |[a], [b]| [a.wrapping_add(b)]);
    let planes = line.to_vec();
    let count = line.len() / size;
    for (index, value) in line.chunks_exact_mut(size).enumerate() {
        for (byte, place) in value.iter_mut().rev().enumerate() {
            *place = planes[byte * count + index];
        }
    }
}

/// A sample of a stored pixel, and the channel of the raster that it becomes.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChannelSource {
    /// The index of the sample in a pixel of the line, from 0.
    pub sample: usize,
    /// The index of the channel in a pixel of the raster, from 0.
    pub channel: usize,
}

/// A run of pixels in the samples of a raster.
#[derive(Debug, Clone, Copy)]
pub(super) struct PixelRun {
    /// The index of its first pixel.
    pub pixel: usize,
    /// Number of pixels.
    pub count: usize,
    /// Channels per pixel.
    pub channels: usize,
}

/// Unpacks the first pixels of a line, with `samples` samples each and the predictor [undone](undo_predictor), to the
/// run `target` of `out`.
pub(super) fn unpack(
    line: &[u8],
    sample: SampleType,
    samples: usize,
    sources: &[ChannelSource],
    target: PixelRun,
    out: &mut RasterSamples,
) {
    let bits = usize::from(sample.bits);
    match out {
        RasterSamples::U8(out) if bits == 8 && is_whole_pixel(sources, samples, target) => {
            let start = target.pixel * samples;
            let bytes = target.count * samples;
            out[start..start + bytes].copy_from_slice(&line[..bytes]);
        }
        RasterSamples::U8(out) if bits == 8 => {
            copy(out, target, sources, samples, |index| {
                line.get(index).copied()
            });
        }
        RasterSamples::U8(out) => copy(out, target, sources, samples, |index| {
            Some(read_bits(line, index * bits, bits)? as u8)
        }),
        RasterSamples::U16(out) if bits == 16 => {
            let (values, _) = line.as_chunks::<2>();
            copy(out, target, sources, samples, |index| {
                Some(u16::from_le_bytes(*values.get(index)?))
            });
        }
        RasterSamples::U16(out) => copy(out, target, sources, samples, |index| {
            Some(read_bits(line, index * bits, bits)? as u16)
        }),
        RasterSamples::F32(out) => copy(out, target, sources, samples, |index| {
            read_sample(line, sample, index)
        }),
    }
}

/// Whether the channels are all samples of a pixel, in the same order.
fn is_whole_pixel(sources: &[ChannelSource], samples: usize, target: PixelRun) -> bool {
    let in_order = |(index, source): (usize, &ChannelSource)| {
        source.sample == index && source.channel == index
    };
    sources.len() == samples
        && target.channels == samples
        && sources.iter().enumerate().all(in_order)
}

/// Writes the channels of a run's pixels; `get` gives a sample by its index in the line.
fn copy<T>(
    out: &mut [T],
    target: PixelRun,
    sources: &[ChannelSource],
    samples: usize,
    get: impl Fn(usize) -> Option<T>,
) {
    let start = target.pixel * target.channels;
    let pixels = out[start..]
        .chunks_exact_mut(target.channels)
        .take(target.count);
    for (column, pixel) in pixels.enumerate() {
        for source in sources {
            if let Some(value) = get(column * samples + source.sample) {
                pixel[source.channel] = value;
            }
        }
    }
}

/// The unsigned number of `count` bits (up to 32) from bit `at` of the line, most significant first; `None` past the
/// end.
fn read_bits(line: &[u8], at: usize, count: usize) -> Option<u64> {
    let end = at + count;
    let bytes = line.get(at / 8..end.div_ceil(8))?;
    let number = bytes
        .iter()
        .fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    let behind = bytes.len() * 8 - at % 8 - count;
    Some(number >> behind & ((1 << count) - 1))
}

/// The value of sample `index` of the line.
fn read_sample(line: &[u8], sample: SampleType, index: usize) -> Option<f32> {
    let bits = usize::from(sample.bits);
    let value = match sample.whole_bytes() {
        Some(size) => {
            let bytes = line.get(index * size..(index + 1) * size)?;
            bytes
                .iter()
                .rev()
                .fold(0u64, |number, &byte| number << 8 | u64::from(byte))
        }
        None => read_bits(line, index * bits, bits)?,
    };
    let shift = 64 - u32::from(sample.bits);
    Some(match (sample.format, sample.bits) {
        (SampleFormat::Unsigned, _) => value as f32,
        (SampleFormat::Signed, _) => ((value << shift) as i64 >> shift) as f32,
        (SampleFormat::Float, 16) => f16::from_bits(value as u16).to_f32(),
        (SampleFormat::Float, 24) => float24(value as u32),
        (SampleFormat::Float, 32) => f32::from_bits(value as u32),
        (SampleFormat::Float, _) => f64::from_bits(value) as f32,
    })
}

/// Adobe's 24-bit float: a sign, 7 bits of exponent with bias 63, 16 bits of mantissa.
fn float24(bits: u32) -> f32 {
    let (sign, exponent, mantissa) = (bits >> 23 & 1, bits >> 16 & 0x7f, bits & 0xffff);
    let magnitude = match exponent {
        0 => mantissa as f32 * 2f32.powi(-62 - 16),
        0x7f => f32::from_bits(0xff << 23 | mantissa << 7),
        _ => f32::from_bits((exponent + 127 - 63) << 23 | mantissa << 7),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

/// Sets the channels of a run to `value`.
pub(super) fn fill(
    value: f64,
    sources: &[ChannelSource],
    target: PixelRun,
    out: &mut RasterSamples,
) {
    match out {
        RasterSamples::U8(out) => copy(out, target, sources, 0, |_| Some(value as u8)),
        RasterSamples::U16(out) => copy(out, target, sources, 0, |_| Some(value as u16)),
        RasterSamples::F32(out) => copy(out, target, sources, 0, |_| Some(value as f32)),
    }
}
