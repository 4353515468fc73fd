//! One number a patch (similarity, attention) as colours at the photo's size.
//!
//! A map `[rows * cols]` is upsampled ([`upscale_rows`]) and coloured by a value range and a colour map.

use image::RgbImage;

use crate::error::Result;
use crate::model::input::Geometry;
use crate::vision::render::colormap::Colormap;
use crate::vision::render::depth::ValueRange;
use crate::vision::render::upscale::{Upscale, upscale_rows};

/// Draws `map` `[rows * cols]` at the photo's size: `range.low` gets the first colour, `range.high` the last.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the picture does not fit.
pub fn draw_patch_map(
    map: &[f32],
    geometry: &Geometry,
    upscale: Upscale,
    range: ValueRange,
    colormap: &Colormap,
) -> Result<RgbImage> {
    let (width, height) = geometry.photo;
    let bytes = upscale_rows(map, 1, geometry, upscale, |samples, line| {
        for (rgb, &value) in line.as_chunks_mut::<3>().0.iter_mut().zip(samples) {
            *rgb = colormap.at(range.normalise(value)).0;
        }
    })?;
    Ok(RgbImage::from_raw(width, height, bytes).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::input::SizeRule;

    #[test]
    fn patches_lie_where_the_photo_has_them() {
        let geometry = Geometry::new((4, 2), SizeRule::Native, 2);
        let (map, range) = (Colormap::default(), ValueRange::new(0.0, 2.0));
        let picture =
            draw_patch_map(&[0.0, 2.0], &geometry, Upscale::Nearest, range, &map).unwrap();
        let row = [map.at(0.0).0, map.at(0.0).0, map.at(1.0).0, map.at(1.0).0].concat();
        assert_eq!(picture.into_raw(), row.repeat(2));
    }
}
