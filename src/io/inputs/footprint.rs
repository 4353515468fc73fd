//! [`Footprint`]: the memory that decoding an image will take, estimated from its header before anything is allocated.
//! Every decoder passes one to the check of [`PhotoDecoder`](super::PhotoDecoder), which compares it with
//! `--max-megapixels` and `--max-memory`.

/// The size of an image and the bytes that its pixels take while they are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footprint {
    /// Width in pixels, as stored.
    pub width: u32,
    /// Height in pixels, as stored.
    pub height: u32,
    /// Bytes per pixel of the decoded samples; 0 while only the size is known.
    pub bytes_per_pixel: u64,
    /// Further bytes per pixel that the decoder needs while it works.
    pub scratch_per_pixel: u64,
}

impl Footprint {
    /// The footprint of an image of `(width, height)` pixels with `channels` samples of `bytes` bytes each.
    pub fn new((width, height): (u32, u32), channels: usize, bytes: usize) -> Self {
        Footprint {
            width,
            height,
            bytes_per_pixel: (channels * bytes) as u64,
            scratch_per_pixel: 0,
        }
    }

    /// The same with `scratch` further bytes per pixel while decoding.
    pub fn with_scratch(self, scratch: u64) -> Self {
        Footprint {
            scratch_per_pixel: scratch,
            ..self
        }
    }

    /// The number of pixels, width times height.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Peak memory in bytes from a file of `file` bytes to the 8-bit sRGB photo; an image that is rotated or mirrored
    /// (`turned`) is copied once more.
    pub fn peak_bytes(&self, file: u64, turned: bool) -> u64 {
        // 8-bit samples without alpha are the photo already; others are copied without alpha first.
        let developed = match self.bytes_per_pixel {
            1 | 3 => 3 + 3 * u64::from(turned),
            other => other + 3 + 3 * u64::from(turned),
        };
        2 * file + self.pixels() * (self.bytes_per_pixel + self.scratch_per_pixel.max(developed))
    }
}
