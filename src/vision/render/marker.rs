//! A ring around one pixel of a picture, white with black rims so that it is visible on any ground.

use image::{Rgb, RgbImage};

/// A ring's radius as a share of the picture's short side.
const SHARE: f32 = 1.0 / 40.0;
/// The least radius, in pixels.
const SMALLEST: f32 = 5.0;

/// Draws a white ring with black rims around the middle of the pixel `at` = (x, y); what lies outside of the picture is
/// cut off.
pub fn draw_marker(picture: &mut RgbImage, at: (u32, u32)) {
    let (width, height) = picture.dimensions();
    let radius = (width.min(height) as f32 * SHARE).max(SMALLEST);
    let stroke = (radius / 3.0).max(2.0);
    // Half the width of the white, and of the white with its rims.
    let (white, black) = (0.5 * stroke, stroke);
    let reach = (radius + black).ceil() as u32 + 1;
    for y in at.1.saturating_sub(reach)..(at.1 + reach + 1).min(height) {
        for x in at.0.saturating_sub(reach)..(at.0 + reach + 1).min(width) {
            let (dx, dy) = (x as f32 - at.0 as f32, y as f32 - at.1 as f32);
            let off = (dx.hypot(dy) - radius).abs();
            let cover = |half: f32| (half - off + 0.5).clamp(0.0, 1.0);
            let pixel = picture.get_pixel_mut(x, y);
            for (level, cover) in [(0.0, cover(black)), (255.0, cover(white))] {
                *pixel = Rgb(pixel
                    .0
                    .map(|below| (f32::from(below) * (1.0 - cover) + level * cover + 0.5) as u8));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_leaves_its_middle_alone() {
        let grey = Rgb([100; 3]);
        let mut picture = RgbImage::from_pixel(80, 60, grey);
        draw_marker(&mut picture, (30, 20));
        assert_eq!(*picture.get_pixel(30, 20), grey);
        assert_eq!(*picture.get_pixel(35, 20), Rgb([255; 3]));
        assert_eq!(*picture.get_pixel(30, 15), Rgb([255; 3]));
        assert_eq!(*picture.get_pixel(60, 50), grey);
    }

    #[test]
    fn rings_at_corners_are_cut_off() {
        for (size, at) in [((1, 1), (0, 0)), ((50, 3), (49, 2)), ((3, 50), (0, 0))] {
            let mut picture = RgbImage::new(size.0, size.1);
            draw_marker(&mut picture, at);
            assert_eq!(picture.dimensions(), size);
        }
    }
}
