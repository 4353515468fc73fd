//! YCbCr images (TIFF 6.0, section 21): luma and chroma to red, green and blue, converted as libtiff does.

use super::compression::Compression;
use super::directory::Ifd;
use super::layout::TiffLayout;
use super::tags;

/// The conversion of 8-bit luma and chroma to red, green and blue.
#[derive(Debug)]
pub(super) struct YCbCr {
    /// The weights of red, green and blue in luma (tag 529).
    luma_coefficients: [f32; 3],
    /// The codes of black and white for luma, and of zero and full chroma for Cb and Cr (tag 532).
    reference_black_white: [f32; 6],
}

impl Default for YCbCr {
    /// The conversion of JFIF files.
    fn default() -> Self {
        YCbCr {
            luma_coefficients: [0.299, 0.587, 0.114],
            reference_black_white: [0.0, 255.0, 128.0, 255.0, 128.0, 255.0],
        }
    }
}

impl YCbCr {
    /// Reads the tags; JPEG chunks are converted as JFIF files whatever these say.
    ///
    /// # Errors
    /// If the samples do not have 8 bits.
    pub fn read(directory: &Ifd, layout: &TiffLayout) -> Result<Self, String> {
        if layout.sample.bits != 8 {
            return Err(format!(
                "this TIFF has YCbCr colours of {} bits, which are not supported; convert it to RGB first",
                layout.sample.bits
            ));
        }
        let mut ycbcr = YCbCr::default();
        if layout.compression == Compression::Jpeg {
            return Ok(ycbcr);
        }
        let reals = |tag| {
            directory
                .reals(tag)
                .unwrap_or_default()
                .into_iter()
                .map(|real| real as f32)
        };
        let shares: Vec<f32> = reals(tags::YCBCR_COEFFICIENTS).collect();
        if let Ok(shares) = <[f32; 3]>::try_from(shares)
            && shares.iter().all(|share| share.is_finite())
            && shares[1] != 0.0
        {
            ycbcr.luma_coefficients = shares;
        }
        let reference: Vec<f32> = reals(tags::REFERENCE_BLACK_WHITE).collect();
        if let Ok(reference) = <[f32; 6]>::try_from(reference)
            && reference.iter().all(|code| code.is_finite())
            && reference
                .as_chunks::<2>()
                .0
                .iter()
                .all(|[low, high]| low != high)
        {
            ycbcr.reference_black_white = reference;
        }
        Ok(ycbcr)
    }

    /// Converts the first three of `channels` samples per pixel to RGB in place.
    pub fn apply(&self, samples: &mut [u8], channels: usize) {
        let [red, green, blue] = self.luma_coefficients;
        let [black, white, cb_none, cb_full, cr_none, cr_full] = self.reference_black_white;
        let table = |none: f32, full: f32, range: f32, factor: f32| -> [f32; 256] {
            std::array::from_fn(|code| (code as f32 - none) * range / (full - none) * factor)
        };
        let luma = table(black, white, 255.0, 1.0);
        let to_blue = table(cb_none, cb_full, 127.0, 2.0 - 2.0 * blue);
        let to_red = table(cr_none, cr_full, 127.0, 2.0 - 2.0 * red);
        for pixel in samples.chunks_exact_mut(channels) {
            let y = luma[usize::from(pixel[0])];
            let r = to_red[usize::from(pixel[2])];
            let b = to_blue[usize::from(pixel[1])];
            let g = -(red * r + blue * b + (red + green + blue - 1.0) * y) / green;
            for (place, difference) in pixel.iter_mut().zip([r, g, b]) {
                *place = (y + difference).round() as u8;
            }
        }
    }
}

/// Expands a line of blocks, each of `across` times `down` luma samples and one of each chroma, to `down` rows of
/// `width` pixels with three samples each.
pub(super) fn upsample_chroma(
    line: &[u8],
    (across, down): (u32, u32),
    width: u32,
    rows: &mut [Vec<u8>],
) {
    let (across, down, width) = (across as usize, down as usize, width as usize);
    for row in rows.iter_mut() {
        row.resize(width * 3, 0);
    }
    for (index, block) in line.chunks_exact(across * down + 2).enumerate() {
        let (luma, chroma) = block.split_at(across * down);
        for (row, luma) in rows.iter_mut().zip(luma.chunks_exact(across)) {
            let pixels = row.chunks_exact_mut(3).skip(index * across);
            for (pixel, &y) in pixels.zip(luma) {
                pixel.copy_from_slice(&[y, chroma[0], chroma[1]]);
            }
        }
    }
}
