//! Palette images: samples are indices into the colour map of the file (tag 320), and become 8-bit red, green and blue.

use super::bits::{SampleFormat, SampleType};
use super::directory::Ifd;
use super::tags;
use crate::io::inputs::raster::RasterSamples;

/// The colour map, 8 bits a channel.
#[derive(Debug)]
pub(super) struct Palette {
    /// Red, green and blue of each index.
    colours: Vec<[u8; 3]>,
    /// The largest value that a sample can hold.
    largest: u32,
}

impl Palette {
    /// Reads the colour map of an image with samples of type `sample`: 16 bits a channel, of which the upper 8 are
    /// kept, as in Pillow; a map without any value above 255 has 8 bits a channel, as in libtiff.
    ///
    /// # Errors
    /// If the map is missing, or the samples cannot be indices.
    pub fn read(directory: &Ifd, sample: SampleType) -> Result<Self, String> {
        if sample.format == SampleFormat::Float || sample.bits > 16 {
            return Err(format!(
                "damaged TIFF: its pixels of {} bits cannot name colours of a palette",
                sample.bits
            ));
        }
        let map = directory.integers(tags::COLOR_MAP)?;
        let map = map
            .filter(|map| map.len() >= 3)
            .ok_or("damaged TIFF: its palette is missing (tag 320)")?;
        let shift = if map.iter().all(|&value| value < 256) {
            0
        } else {
            8
        };
        let count = map.len() / 3;
        let channel = |index: usize| (map[index].min(0xffff) >> shift) as u8;
        let colours =
            (0..count).map(|index| [index, count + index, 2 * count + index].map(channel));
        Ok(Palette {
            colours: colours.collect(),
            largest: (1 << sample.bits) - 1,
        })
    }

    /// Replaces the first of `channels` samples per pixel by red, green and blue, and scales the others to 8 bits.
    ///
    /// # Errors
    /// Names an index that the map does not have.
    pub fn apply(&self, samples: &RasterSamples, channels: usize) -> Result<Vec<u8>, String> {
        match samples {
            RasterSamples::U8(values) => self.look_up(values, channels, |value| value.into()),
            RasterSamples::U16(values) => self.look_up(values, channels, |value| value.into()),
            RasterSamples::F32(values) => self.look_up(values, channels, |value| value as u32),
        }
    }

    /// As [`Palette::apply`], for samples that `index` converts to integers.
    fn look_up<T: Copy>(
        &self,
        values: &[T],
        channels: usize,
        index: impl Fn(T) -> u32,
    ) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity(values.len() / channels * (channels + 2));
        for pixel in values.chunks_exact(channels) {
            let place = index(pixel[0]);
            let Some(colour) = self.colours.get(place as usize) else {
                return Err(format!(
                    "damaged TIFF: a pixel names colour {place} of a palette of {}",
                    self.colours.len()
                ));
            };
            out.extend(colour);
            out.extend(
                pixel[1..]
                    .iter()
                    .map(|&value| (index(value) * 255 / self.largest) as u8),
            );
        }
        Ok(out)
    }
}
