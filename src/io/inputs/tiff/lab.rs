//! CIE L*a*b* in the three encodings of TIFF, converted to that of ICC: 0 to white is 0 to 100 for L*, -128 to 127 for
//! a* and b*.

use super::directory::Ifd;
use super::layout::TiffLayout;
use super::photometric::{CIE_LAB, ICC_LAB};
use super::tags;
use crate::io::inputs::raster::RasterSamples;

/// How L*, a* and b* are stored.
#[derive(Debug)]
pub(super) enum LabEncoding {
    /// a* and b* are two's complement (photometric 8).
    Cie,
    /// All are unsigned; in 16 bits, 65280 is L* 100 (photometric 9).
    Icc,
    /// Each spans a range, `[low, high]` (photometric 10, tag 433).
    Itu([[f32; 2]; 3]),
}

impl LabEncoding {
    /// Reads the encoding of an image whose photometric is one of L*a*b*.
    ///
    /// # Errors
    /// Names unsupported samples: other than unsigned ones of 8 or 16 bits.
    pub fn read(directory: &Ifd, layout: &TiffLayout) -> Result<Self, String> {
        if !matches!(layout.sample.bits, 8 | 16)
            || layout.sample.format != super::bits::SampleFormat::Unsigned
        {
            return Err(format!(
                "this TIFF has L*a*b* colours of {} bits or floats, which are not supported; convert it to 8 or 16 bits first",
                layout.sample.bits
            ));
        }
        Ok(match layout.photometric {
            CIE_LAB => LabEncoding::Cie,
            ICC_LAB => LabEncoding::Icc,
            _ => {
                let ranges: Vec<f32> = directory
                    .reals(tags::DECODE)
                    .unwrap_or_default()
                    .iter()
                    .map(|&real| real as f32)
                    .collect();
                LabEncoding::Itu(match ranges.as_chunks::<2>() {
                    (&[l, a, b], _) if ranges.iter().all(|real| real.is_finite()) => [l, a, b],
                    _ => [[0.0, 100.0], [-85.0, 85.0], [-75.0, 125.0]],
                })
            }
        })
    }

    /// Converts the first three of `channels` samples per pixel to the encoding of ICC, 8 or 16 bits.
    pub fn apply(&self, samples: RasterSamples, channels: usize) -> RasterSamples {
        match samples {
            RasterSamples::U8(mut values) => match self {
                LabEncoding::Icc => RasterSamples::U8(values),
                LabEncoding::Cie => {
                    for pixel in values.chunks_exact_mut(channels) {
                        pixel[1] ^= 0x80;
                        pixel[2] ^= 0x80;
                    }
                    RasterSamples::U8(values)
                }
                LabEncoding::Itu(ranges) => {
                    let mut wide: Vec<u16> =
                        values.iter().map(|&value| u16::from(value) * 257).collect();
                    decode_ranges(&mut wide, channels, ranges);
                    RasterSamples::U16(wide)
                }
            },
            RasterSamples::U16(mut values) => {
                match self {
                    // An unsigned a* or b* counts in 256ths from -128; 65535 is 127 and 255/256, not 127.
                    LabEncoding::Cie => {
                        convert(&mut values, channels, |channel, value| match channel {
                            0 => value,
                            _ => from_256ths(value ^ 0x8000),
                        })
                    }
                    LabEncoding::Icc => {
                        convert(&mut values, channels, |_, value| from_256ths(value))
                    }
                    LabEncoding::Itu(ranges) => decode_ranges(&mut values, channels, ranges),
                }
                RasterSamples::U16(values)
            }
            other => other,
        }
    }
}

/// Applies `to`, by channel and value, to the first three samples of each pixel.
fn convert(values: &mut [u16], channels: usize, to: impl Fn(usize, u16) -> u16) {
    for pixel in values.chunks_exact_mut(channels) {
        for (channel, value) in pixel[..3].iter_mut().enumerate() {
            *value = to(channel, *value);
        }
    }
}

/// Scales from 256 steps per unit to 257: 0xff00 becomes 0xffff.
fn from_256ths(value: u16) -> u16 {
    ((u32::from(value) * 257 + 128) / 256).min(0xffff) as u16
}

/// Converts 16-bit values, of which 0 to 65535 spans `ranges`, to the encoding of ICC.
fn decode_ranges(values: &mut [u16], channels: usize, ranges: &[[f32; 2]; 3]) {
    convert(values, channels, |channel, value| {
        let [low, high] = ranges[channel];
        let real = low + (high - low) * f32::from(value) / 65535.0;
        let share = match channel {
            0 => real / 100.0,
            _ => (real + 128.0) / 255.0,
        };
        (share * 65535.0).round() as u16
    });
}
