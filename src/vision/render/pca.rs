//! Projected patches as a picture at the photo's size: three principal components as red, green and blue, or one as
//! grey.

use image::RgbImage;

use crate::analysis::pca::ProjectedPatches;
use crate::error::Result;
use crate::model::input::Geometry;
use crate::vision::postprocess::refine::refine_rows;
use crate::vision::render::upscale::{Upscale, upscale_rows};

/// Draws `projected` (`k` = `ranges.len()` scores a patch) at the photo's size; background patches are black.
///
/// `ranges` are the scores of each component that become black and full colour. The first three components are drawn,
/// or the first alone as grey where there are fewer than three. With the photo as `guide`, they are refined to its
/// edges.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the picture does not fit; if the photo cannot be resized.
pub fn draw_components(
    projected: &ProjectedPatches,
    ranges: &[(f32, f32)],
    geometry: &Geometry,
    upscale: Upscale,
    guide: Option<&RgbImage>,
) -> Result<RgbImage> {
    let k = ranges.len();
    let drawn = if k < 3 { 1 } else { 3 };
    // Colours in 0..1, then whether the patch is foreground.
    let mut map = Vec::with_capacity(projected.foreground.len() * (drawn + 1));
    for (scores, &foreground) in projected.scores.chunks_exact(k).zip(&projected.foreground) {
        for (&score, &(low, high)) in scores.iter().zip(ranges).take(drawn) {
            // A component without any spread is drawn as middle grey.
            let value = if high > low {
                (score - low) / (high - low)
            } else {
                0.5
            };
            map.push(value.clamp(0.0, 1.0));
        }
        map.push(f32::from(u8::from(foreground)));
    }
    let width = geometry.photo.0 as usize;
    let paint = |samples: &[f32], line: &mut [u8]| {
        let (colours, foreground) = samples.split_at(drawn * width);
        let channel = |index: usize| &colours[index.min(drawn - 1) * width..][..width];
        let (red, green, blue) = (channel(0), channel(1), channel(2));
        let colours = red.iter().zip(green).zip(blue).zip(foreground);
        let pixels = line.as_chunks_mut::<3>().0.iter_mut();
        for (rgb, (((red, green), blue), foreground)) in pixels.zip(colours) {
            // Background is black.
            let scale = if *foreground < 0.5 { 0.0 } else { 255.0 };
            let level = |value: &f32| (value * scale + 0.5) as u8;
            *rgb = [level(red), level(green), level(blue)];
        }
    };
    let bytes = match guide {
        Some(photo) => refine_rows(&map, drawn + 1, geometry, photo, paint)?,
        None => upscale_rows(&map, drawn + 1, geometry, upscale, paint)?,
    };
    let (width, height) = geometry.photo;
    Ok(RgbImage::from_raw(width, height, bytes).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::input::SizeRule;

    #[test]
    fn ranges_clip_and_background_is_black() {
        let geometry = Geometry::new(
            (3, 1),
            SizeRule::Exact {
                width: 3,
                height: 1,
            },
            1,
        );
        let projected = ProjectedPatches {
            scores: vec![-9.0, 0.0, 1.0, 9.0, 0.5, 0.25, 0.3, 0.3, 0.3],
            foreground: vec![true, true, false],
        };
        let image = draw_components(
            &projected,
            &[(0.0, 1.0); 3],
            &geometry,
            Upscale::Nearest,
            None,
        )
        .unwrap();
        assert_eq!(image.into_raw(), [0, 0, 255, 255, 128, 64, 0, 0, 0]);
    }

    #[test]
    fn one_component_is_grey_and_no_spread_is_middle_grey() {
        let geometry = Geometry::new(
            (2, 1),
            SizeRule::Exact {
                width: 2,
                height: 1,
            },
            1,
        );
        let projected = ProjectedPatches {
            scores: vec![1.0, 3.0],
            foreground: vec![true, true],
        };
        let image =
            draw_components(&projected, &[(1.0, 3.0)], &geometry, Upscale::Nearest, None).unwrap();
        assert_eq!(image.into_raw(), [0, 0, 0, 255, 255, 255]);
        let flat = ProjectedPatches {
            scores: vec![2.0, 2.0],
            foreground: vec![true, true],
        };
        let image =
            draw_components(&flat, &[(2.0, 2.0)], &geometry, Upscale::Nearest, None).unwrap();
        assert_eq!(image.into_raw(), [128; 6]);
    }
}
