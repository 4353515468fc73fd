//! What decoding an image will take, as its header tells.

/// The size of an image and what its pixels take while they are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footprint {
    /// In pixels, as stored.
    pub width: u32,
    /// In pixels, as stored.
    pub height: u32,
    /// Bytes of a pixel's samples, as the decoder hands them over.
    pub bytes_per_pixel: u64,
    /// Bytes a pixel that the decoder keeps beside them.
    pub scratch_per_pixel: u64,
}

impl Footprint {
    /// Of `channels` of `bytes` each.
    pub fn new((width, height): (u32, u32), channels: usize, bytes: usize) -> Self {
        Footprint {
            width,
            height,
            bytes_per_pixel: (channels * bytes) as u64,
            scratch_per_pixel: 0,
        }
    }

    /// With so many bytes a pixel beside the samples.
    pub fn with_scratch(self, beside: u64) -> Self {
        Footprint {
            scratch_per_pixel: beside,
            ..self
        }
    }

    /// Pixels.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Bytes that the image takes from its `file` bytes to 8-bit sRGB; `turned` ones are copied once more.
    pub fn peak_bytes(&self, file: u64, turned: bool) -> u64 {
        // Samples of 8 bits without opacity are the picture already; others become one, by way of a copy without opacity.
        let developed = match self.bytes_per_pixel {
            1 | 3 => 3 + 3 * u64::from(turned),
            other => other + 3 + 3 * u64::from(turned),
        };
        2 * file + self.pixels() * (self.bytes_per_pixel + self.scratch_per_pixel.max(developed))
    }
}
