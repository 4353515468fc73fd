//! Resizers of 8-bit photos that agree with the references: antialiased bicubic (A = -0.5) as Pillow and
//! torchvision have it, and bilinear without antialiasing as `cv2.resize(INTER_LINEAR)` has it.

use fast_image_resize as fir;
use image::RgbImage;

use crate::error::{Error, Result};
use crate::preprocess::SizeRule;

/// The kernel a photo is resized with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resample {
    /// Bicubic, A = -0.5, antialiased when shrinking.
    Bicubic,
    /// Bilinear, never antialiased.
    Bilinear,
}

/// Resizes to exactly `width` x `height`.
pub fn resize_rgb(
    photo: &RgbImage,
    width: u32,
    height: u32,
    resample: Resample,
) -> Result<RgbImage> {
    let algorithm = match resample {
        Resample::Bicubic => fir::ResizeAlg::Convolution(fir::FilterType::CatmullRom),
        Resample::Bilinear => fir::ResizeAlg::Interpolation(fir::FilterType::Bilinear),
    };
    let failed = |error: &dyn std::fmt::Display| {
        Error::Model(format!("resizing to {width}x{height}: {error}"))
    };
    let source = fir::images::ImageRef::new(
        photo.width(),
        photo.height(),
        photo.as_raw(),
        fir::PixelType::U8x3,
    )
    .map_err(|e| failed(&e))?;
    let mut target = fir::images::Image::new(width, height, fir::PixelType::U8x3);
    fir::Resizer::new()
        .resize(
            &source,
            &mut target,
            &fir::ResizeOptions::new().resize_alg(algorithm),
        )
        .map_err(|e| failed(&e))?;
    RgbImage::from_raw(width, height, target.into_vec())
        .ok_or_else(|| failed(&"the buffer has the wrong length"))
}

/// Resizes as `size` says (a short side is meant: the long one is cut to whole pixels, as torchvision's `Resize` has
/// it) and cuts a square of `side` out of the middle, as its `CenterCrop` does. A picture smaller than that is centred
/// on black.
pub fn center_crop(
    photo: &RgbImage,
    size: SizeRule,
    side: u32,
    resample: Resample,
) -> Result<RgbImage> {
    let (width, height) = photo.dimensions();
    let (w, h) = match size {
        SizeRule::Native => (width, height),
        SizeRule::Exact { width, height } => (width, height),
        SizeRule::ShortSide(short) => {
            let long = |other: u32, least: u32| {
                // In integers, so that no rounding can lose a pixel.
                let long = u64::from(short) * u64::from(other) / u64::from(least);
                u32::try_from(long).unwrap_or(u32::MAX)
            };
            match width <= height {
                true => (short, long(height, width)),
                false => (long(width, height), short),
            }
        }
    };
    // Only the middle of a strip is looked at: the rest need not be resized.
    let most = |resized: u32, other: u32| resized.min(other.max(side).saturating_mul(64));
    let (w_most, h_most) = (most(w, h), most(h, w));
    let middle;
    let photo = if (w_most, h_most) == (w, h) {
        photo
    } else {
        let part = |full: u32, kept: u32, all: u32| {
            (u64::from(full) * u64::from(kept) / u64::from(all)).max(1) as u32
        };
        let (pw, ph) = (part(width, w_most, w), part(height, h_most, h));
        let view = image::imageops::crop_imm(photo, (width - pw) / 2, (height - ph) / 2, pw, ph);
        middle = view.to_image();
        &middle
    };
    let resized = resize_rgb(photo, w_most, h_most, resample)?;
    // Half a pixel goes to the even side, as Python rounds.
    let start = |full: u32| {
        let spare = full.saturating_sub(side);
        spare / 2 + u32::from(spare % 4 == 3)
    };
    let mut out = RgbImage::new(side, side);
    let (left, top) = (start(w_most), start(h_most));
    let cut = image::imageops::crop_imm(&resized, left, top, side.min(w_most), side.min(h_most));
    let gap = |full: u32| i64::from(side.saturating_sub(full) / 2);
    image::imageops::replace(&mut out, &cut.to_image(), gap(w_most), gap(h_most));
    Ok(out)
}
