//! The photo cut out along its labels: pixels that are not kept are transparent black, so that nothing of them is left
//! in the file.

use image::{GrayImage, RgbImage, Rgba, RgbaImage};

use crate::vision::postprocess::{LabelMap, PixelBox};

/// The smallest box around the pixels whose class is in `kept` (one flag a class); `None` if there is no such pixel.
pub fn kept_bounds(map: &LabelMap, kept: &[bool]) -> Option<PixelBox> {
    let is_kept = |id: &u16| is_kept(kept, *id);
    let rows = map.ids.chunks(map.width.max(1)).enumerate();
    rows.filter_map(|(y, row)| {
        let first = row.iter().position(is_kept)?;
        let last = row.iter().rposition(is_kept)?;
        Some(PixelBox {
            x: first,
            y,
            width: last + 1 - first,
            height: 1,
        })
    })
    .reduce(PixelBox::union)
}

/// The part of the photo within `bounds`, as RGBA: pixels whose class is in `kept` (one flag a class) keep the photo's
/// own opacity, all others are transparent black.
///
/// `opacity` is the photo's alpha channel, of its size, with the background colour that it was blended over when it was
/// decoded; without it the photo is opaque.
pub fn cut_out(
    photo: &RgbImage,
    opacity: Option<(&GrayImage, Option<[u8; 3]>)>,
    map: &LabelMap,
    kept: &[bool],
    bounds: PixelBox,
) -> RgbaImage {
    RgbaImage::from_fn(bounds.width as u32, bounds.height as u32, |x, y| {
        let (x, y) = (bounds.x + x as usize, bounds.y + y as usize);
        let own = opacity.and_then(|(opacity, _)| opacity.get_pixel_checked(x as u32, y as u32));
        match (
            is_kept(kept, map.ids[y * map.width + x]),
            own.map_or(255, |own| own.0[0]),
        ) {
            (true, alpha @ 1..) => {
                let seen = photo.get_pixel(x as u32, y as u32).0;
                let behind = opacity.and_then(|(_, behind)| behind).unwrap_or(seen);
                let [r, g, b] = [0, 1, 2].map(|c| unblend(seen[c], behind[c], alpha));
                Rgba([r, g, b, alpha])
            }
            _ => Rgba([0; 4]),
        }
    })
}

/// The level that, with opacity `alpha` (0..255, not 0) over `behind`, was blended to `seen`.
fn unblend(seen: u8, behind: u8, alpha: u8) -> u8 {
    let (seen, behind, alpha) = (f32::from(seen), f32::from(behind), f32::from(alpha));
    ((seen * 255.0 - behind * (255.0 - alpha)) / alpha).round() as u8 // `as` clamps.
}

fn is_kept(kept: &[bool], id: u16) -> bool {
    kept.get(usize::from(id)).is_some_and(|kept| *kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::postprocess::NO_CLASS;
    use image::Rgb;

    fn map() -> LabelMap {
        LabelMap {
            width: 3,
            height: 3,
            ids: vec![0, 0, NO_CLASS, 0, 1, 2, 0, 1, 0],
            confidence: vec![1.0; 9],
        }
    }

    #[test]
    fn what_is_not_kept_leaves_nothing_behind() {
        let photo = RgbImage::from_fn(3, 3, |x, y| Rgb([10 + x as u8, 20 + y as u8, 30]));
        let kept = [false, true, true];
        let bounds = kept_bounds(&map(), &kept);
        let expected = PixelBox {
            x: 1,
            y: 1,
            width: 2,
            height: 2,
        };
        assert_eq!(bounds, Some(expected));
        let cut = cut_out(&photo, None, &map(), &kept, expected).into_raw();
        let pixels: [[u8; 4]; 4] = [
            [11, 21, 30, 255],
            [12, 21, 30, 255],
            [11, 22, 30, 255],
            [0; 4],
        ];
        assert_eq!(cut, pixels.concat());
        // What is transparent in the photo stays so.
        let opacity = GrayImage::from_fn(3, 3, |x, _| image::Luma([if x == 1 { 0 } else { 70 }]));
        let cut = cut_out(&photo, Some((&opacity, None)), &map(), &kept, expected).into_raw();
        let pixels: [[u8; 4]; 4] = [[0; 4], [12, 21, 30, 70], [0; 4], [0; 4]];
        assert_eq!(cut, pixels.concat());
    }

    #[test]
    fn what_shows_through_is_taken_out_again() {
        // (200 * 100 + 124 * 155) / 255 = 154 is seen.
        assert!(unblend(154, 124, 100).abs_diff(200) <= 2);
        assert_eq!(unblend(77, 124, 255), 77);
    }

    #[test]
    fn nothing_kept_has_no_box() {
        assert_eq!(kept_bounds(&map(), &[false; 3]), None);
        assert_eq!(kept_bounds(&map(), &[]), None);
    }
}
