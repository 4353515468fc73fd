//! A picture beside or over its photo.

use image::{GenericImage, RgbImage};

/// The photo on the left, the picture on the right; both must be of one size.
pub fn side_by_side(photo: &RgbImage, picture: &RgbImage) -> RgbImage {
    let mut both = RgbImage::new(
        photo.width() + picture.width(),
        photo.height().max(picture.height()),
    );
    // The canvas was made to hold both.
    let _ = both.copy_from(photo, 0, 0);
    let _ = both.copy_from(picture, photo.width(), 0);
    both
}

/// The picture over the photo with opacity `alpha` (0 to 1); both must be of one size.
pub fn overlay(photo: &RgbImage, picture: &RgbImage, alpha: f32) -> RgbImage {
    let mut blended = picture.clone();
    for (top, &below) in blended.iter_mut().zip(photo.iter()) {
        *top = (f32::from(*top) * alpha + f32::from(below) * (1.0 - alpha) + 0.5) as u8;
    }
    blended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlay_blends() {
        let photo = RgbImage::from_pixel(2, 1, image::Rgb([0, 100, 200]));
        let picture = RgbImage::from_pixel(2, 1, image::Rgb([200, 100, 0]));
        assert_eq!(
            overlay(&photo, &picture, 0.25).get_pixel(1, 0).0,
            [50, 100, 150]
        );
        assert_eq!(overlay(&photo, &picture, 1.0), picture);
    }

    #[test]
    fn side_by_side_keeps_both() {
        let photo = RgbImage::from_pixel(2, 1, image::Rgb([1, 2, 3]));
        let picture = RgbImage::from_pixel(2, 1, image::Rgb([9, 9, 9]));
        let both = side_by_side(&photo, &picture);
        assert_eq!(both.into_raw(), [1, 2, 3, 1, 2, 3, 9, 9, 9, 9, 9, 9]);
    }
}
