//! Resizers of 8-bit photos that agree with the references: antialiased bicubic (A = -0.5) as Pillow and
//! torchvision have it, and bilinear without antialiasing as `cv2.resize(INTER_LINEAR)` has it.

use fast_image_resize as fir;
use image::RgbImage;

use crate::error::{Error, Result};

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
