//! A picture beside or over its photo.

use image::{Rgb, RgbImage};
use rayon::prelude::*;

/// A canvas of one colour.
pub fn canvas(width: u32, height: u32, color: Rgb<u8>) -> RgbImage {
    let row = color.0.repeat(width as usize);
    // Every row has the canvas's width.
    RgbImage::from_raw(width, height, row.repeat(height as usize)).unwrap_or_default()
}

/// Puts `picture` on `canvas` with its corner at (`left`, `top`); what reaches beyond is left out.
pub fn paste(canvas: &mut RgbImage, picture: &RgbImage, left: u32, top: u32) {
    let width = picture.width().min(canvas.width().saturating_sub(left)) as usize;
    let (line, own) = (canvas.width() as usize * 3, picture.width() as usize * 3);
    if width == 0 {
        return;
    }
    let rows = canvas.chunks_exact_mut(line).skip(top as usize);
    for (to, from) in rows.zip(picture.as_raw().chunks_exact(own)) {
        to[left as usize * 3..][..width * 3].copy_from_slice(&from[..width * 3]);
    }
}

/// The photo on the left, the picture on the right; both must be of one size.
pub fn side_by_side(photo: &RgbImage, picture: &RgbImage) -> RgbImage {
    let mut both = RgbImage::new(
        photo.width() + picture.width(),
        photo.height().max(picture.height()),
    );
    paste(&mut both, photo, 0, 0);
    paste(&mut both, picture, photo.width(), 0);
    both
}

/// The picture over the photo with opacity `alpha` (0 to 1); both must be of one size.
pub fn overlay(photo: &RgbImage, picture: &RgbImage, alpha: f32) -> RgbImage {
    let mut blended = picture.clone();
    let line = (picture.width() as usize * 3).max(1);
    let rows = blended.par_chunks_mut(line);
    rows.zip(photo.par_chunks(line)).for_each(|(top, below)| {
        for (top, &below) in top.iter_mut().zip(below) {
            *top = (f32::from(*top) * alpha + f32::from(below) * (1.0 - alpha) + 0.5) as u8;
        }
    });
    blended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlay_blends() {
        let photo = RgbImage::from_pixel(2, 1, Rgb([0, 100, 200]));
        let picture = RgbImage::from_pixel(2, 1, Rgb([200, 100, 0]));
        assert_eq!(
            overlay(&photo, &picture, 0.25).get_pixel(1, 0).0,
            [50, 100, 150]
        );
        assert_eq!(overlay(&photo, &picture, 1.0), picture);
    }

    #[test]
    fn what_is_pasted_stays_on_the_canvas() {
        let mut board = canvas(3, 2, Rgb([7; 3]));
        paste(&mut board, &canvas(2, 2, Rgb([1; 3])), 2, 1);
        paste(&mut board, &canvas(2, 2, Rgb([9; 3])), 3, 0);
        let levels: Vec<u8> = board.pixels().map(|pixel| pixel.0[0]).collect();
        assert_eq!(levels, [7, 7, 7, 7, 7, 1]);
    }

    #[test]
    fn side_by_side_keeps_both() {
        let photo = RgbImage::from_pixel(2, 1, Rgb([1, 2, 3]));
        let picture = RgbImage::from_pixel(2, 1, Rgb([9, 9, 9]));
        let both = side_by_side(&photo, &picture);
        assert_eq!(both.into_raw(), [1, 2, 3, 1, 2, 3, 9, 9, 9, 9, 9, 9]);
    }
}
