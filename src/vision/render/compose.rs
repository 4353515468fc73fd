//! Composition of pictures: on a canvas, beside each other, or one over the other with an opacity.

use image::{Rgb, RgbImage};
use rayon::prelude::*;

use crate::error::Result;
use crate::system::memory::try_vec;

/// Pictures on a canvas of `size` (width, height) and `color`, each with its upper left corner at (left, top), later
/// ones over earlier ones; what reaches beyond the canvas is cut off. Rows are written in parallel.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the canvas does not fit.
pub fn canvas(
    size: (u32, u32),
    color: Rgb<u8>,
    pictures: &[(&RgbImage, (u32, u32))],
) -> Result<RgbImage> {
    let paper = color.0.repeat(size.0 as usize);
    let line = paper.len().max(1);
    let mut bytes = try_vec(0u8, line * size.1 as usize)?;
    bytes
        .par_chunks_exact_mut(line)
        .enumerate()
        .for_each(|(y, out)| {
            out.copy_from_slice(&paper);
            for (picture, (left, top)) in pictures {
                let own = picture.width() as usize * 3;
                let (from, left) = (y.checked_sub(*top as usize), *left as usize * 3);
                let Some(from) = from.filter(|&y| y < picture.height() as usize && left < line)
                else {
                    continue;
                };
                let width = own.min(line - left);
                out[left..][..width].copy_from_slice(&picture.as_raw()[from * own..][..width]);
            }
        });
    // The bytes fill the size, so that this cannot fail.
    Ok(RgbImage::from_raw(size.0, size.1, bytes).unwrap_or_default())
}

/// The photo on the left and the picture on the right; both must have one size.
///
/// # Errors
/// As [`canvas`].
pub fn side_by_side(photo: &RgbImage, picture: &RgbImage) -> Result<RgbImage> {
    let size = (
        photo.width() + picture.width(),
        photo.height().max(picture.height()),
    );
    let places = [(photo, (0, 0)), (picture, (photo.width(), 0))];
    canvas(size, Rgb([0; 3]), &places)
}

/// The picture over the photo with opacity `alpha` of 0..1; both must have one size.
pub fn overlay(photo: &RgbImage, mut picture: RgbImage, alpha: f32) -> RgbImage {
    let line = (picture.width() as usize * 3).max(1);
    let rows = picture.par_chunks_mut(line);
    rows.zip(photo.par_chunks(line)).for_each(|(top, below)| {
        for (top, &below) in top.iter_mut().zip(below) {
            *top = mix(*top, below, alpha);
        }
    });
    picture
}

/// The 8-bit level `top` with opacity `alpha` of 0..1 over `below`.
#[inline]
pub(super) fn mix(top: u8, below: u8, alpha: f32) -> u8 {
    (f32::from(top) * alpha + f32::from(below) * (1.0 - alpha) + 0.5) as u8
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn overlay_blends() {
        let photo = RgbImage::from_pixel(2, 1, Rgb([0, 100, 200]));
        let picture = RgbImage::from_pixel(2, 1, Rgb([200, 100, 0]));
        assert_eq!(
            overlay(&photo, picture.clone(), 0.25).get_pixel(1, 0).0,
            [50, 100, 150]
        );
        assert_eq!(overlay(&photo, picture.clone(), 1.0), picture);
    }

    #[test]
    fn what_is_pasted_stays_on_the_canvas() {
        let one = |level: u8| RgbImage::from_pixel(2, 2, Rgb([level; 3]));
        let pictures = [(&one(1), (2, 1)), (&one(9), (3, 0)), (&one(5), (0, 2))];
        let board = canvas((3, 2), Rgb([7; 3]), &pictures).unwrap();
        let levels: Vec<u8> = board.pixels().map(|pixel| pixel.0[0]).collect();
        assert_eq!(levels, [7, 7, 7, 7, 7, 1]);
    }

    #[test]
    fn side_by_side_keeps_both() {
        let photo = RgbImage::from_pixel(2, 1, Rgb([1, 2, 3]));
        let picture = RgbImage::from_pixel(2, 1, Rgb([9, 9, 9]));
        let both = side_by_side(&photo, &picture).unwrap();
        assert_eq!(both.into_raw(), [1, 2, 3, 1, 2, 3, 9, 9, 9, 9, 9, 9]);
    }
}
