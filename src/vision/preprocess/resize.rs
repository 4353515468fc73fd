//! Resizing of 8-bit RGB photos in agreement with the references: antialiased bicubic (A = -0.5) as in Pillow and
//! torchvision, and bilinear without antialiasing as in `cv2.resize(INTER_LINEAR)`.

use fast_image_resize as fir;
use image::RgbImage;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::model::input::SizeRule;
use crate::vision::preprocess::pillow;

/// The kernel by which a photo is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resample {
    /// Bicubic, A = -0.5, antialiased when shrinking; within one level of Pillow.
    Bicubic,
    /// The same, bit for bit as Pillow computes it, which is slower; used for heads of Depth Anything, so that they
    /// agree with transformers.
    Pillow,
    /// Bilinear, never antialiased, bit for bit as `cv2.resize(INTER_LINEAR)` computes it.
    Bilinear,
}

/// Bytes of memory that resizing an image from `from` to `to`, both (width, height), takes beside the two images:
/// tables of weights, and the image between the two passes.
pub fn scratch_bytes(from: (u32, u32), to: (u32, u32)) -> u64 {
    let area = |width: u32, height: u32| u64::from(width) * u64::from(height);
    let tables = 44 * (u64::from(from.0) + u64::from(from.1) + u64::from(to.0) + u64::from(to.1));
    match from == to {
        true => 0,
        false => tables + 3 * area(to.0, from.1).min(area(from.0, to.1)),
    }
}

/// Resizes to exactly `width` x `height` pixels.
///
/// # Errors
/// [`Error::Model`] if the size is one that the resizer does not take.
pub fn resize_rgb(
    photo: &RgbImage,
    width: u32,
    height: u32,
    resample: Resample,
) -> Result<RgbImage> {
    match resample {
        Resample::Bilinear => return bilinear(photo, width, height),
        Resample::Pillow => return Ok(pillow::bicubic(photo, width, height)),
        Resample::Bicubic => {}
    }
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
            &fir::ResizeOptions::new()
                .resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::CatmullRom)),
        )
        .map_err(|e| failed(&e))?;
    RgbImage::from_raw(width, height, target.into_vec())
        .ok_or_else(|| failed(&"the buffer has the wrong length"))
}

/// The two source cells that a sample mixes, and their weights in parts of 2048, as in cv2.
struct FixedPointTaps {
    low: usize,
    high: usize,
    weights: (i32, i32),
}

/// The taps of `samples` samples along an axis of `cells` cells. Beyond the outermost centres both cells are the
/// outermost one; there cv2 keeps the two weights of rows, but gives one cell of columns all the weight, which rounds
/// differently.
fn fixed_point_taps(cells: u32, samples: u32, rows: bool) -> Vec<FixedPointTaps> {
    // cv2 divides twice in f64 before it rounds to f32.
    let scale = 1.0 / (f64::from(samples) / f64::from(cells));
    let last = i64::from(cells) - 1;
    let one = |i: u32| {
        let place = ((f64::from(i) + 0.5) * scale - 0.5) as f32;
        let (low, weight) = (place.floor() as i64, place - place.floor());
        let weight = match (0..last).contains(&low) || rows {
            true => weight,
            false => 0.0,
        };
        let (low, high) = (low.clamp(0, last), (low + 1).clamp(0, last));
        let part = |weight: f32| (weight * 2048.0).round_ties_even() as i32;
        FixedPointTaps {
            low: low as usize,
            high: high as usize,
            weights: (part(1.0 - weight), part(weight)),
        }
    };
    (0..samples).map(one).collect()
}

/// Resizes bit for bit as `cv2.resize(INTER_LINEAR)` does 8-bit images: along rows in integers with 11 fractional bits,
/// then down columns in two shifts.
fn bilinear(photo: &RgbImage, width: u32, height: u32) -> Result<RgbImage> {
    let (x, y) = (
        fixed_point_taps(photo.width(), width, false),
        fixed_point_taps(photo.height(), height, true),
    );
    let source = photo.as_raw();
    let line = photo.width() as usize * 3;
    let mut out = vec![0u8; width as usize * height as usize * 3];
    out.par_chunks_exact_mut((width as usize * 3).max(1))
        .zip(&y)
        .for_each(|(out, y)| {
            let row = |row: usize| &source[row * line..][..line];
            let (upper, lower) = (row(y.low), row(y.high));
            for (rgb, x) in out.as_chunks_mut::<3>().0.iter_mut().zip(&x) {
                for (channel, value) in rgb.iter_mut().enumerate() {
                    let along = |row: &[u8]| {
                        let at = |cell: usize| i32::from(row[cell * 3 + channel]);
                        (at(x.low) * x.weights.0 + at(x.high) * x.weights.1) >> 4
                    };
                    let (a, b) = (
                        (along(upper) * y.weights.0) >> 16,
                        (along(lower) * y.weights.1) >> 16,
                    );
                    *value = ((a + b + 2) >> 2).clamp(0, 255) as u8;
                }
            }
        });
    RgbImage::from_raw(width, height, out).ok_or_else(|| {
        Error::Model(format!(
            "resizing to {width}x{height}: the buffer has the wrong length"
        ))
    })
}

/// Resizes to `size` as torchvision's `Resize` does (the long side is truncated to whole pixels; bicubic bit for bit),
/// and cuts a square of `side` pixels out of the middle as its `CenterCrop` does. An image smaller than that is centred
/// on black.
///
/// # Errors
/// As [`resize_rgb`].
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
        SizeRule::ShortSide(short) | SizeRule::Fit(short) => {
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
    // Only the middle of a long strip is kept: the rest need not be resized.
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
    let resized = match resample {
        Resample::Bicubic | Resample::Pillow => pillow::bicubic(photo, w_most, h_most),
        Resample::Bilinear => resize_rgb(photo, w_most, h_most, resample)?,
    };
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
