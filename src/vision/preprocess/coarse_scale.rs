//! The input of the coarse scale: the prepared input of a photo, made smaller.
//!
//! The normalised planes are resized, padding and all, by antialiased bicubic interpolation (A = -0.5), so that the
//! patch grid of the coarse input covers that of the fine one.

use bytemuck::cast_slice;
use fast_image_resize as fir;

use crate::error::{Error, Result};
use crate::model::input::{CoarseScale, Geometry, SizeRule};
use crate::vision::preprocess::PreparedImage;

/// The input of the coarse scale `coarse`: the padded pixels of `fine`, resized to whole patches.
///
/// # Errors
/// [`Error::Model`] if the pixels of `fine` do not fill its padded size.
pub fn shrink_input(coarse: CoarseScale, fine: &PreparedImage) -> Result<PreparedImage> {
    let Geometry {
        padded, patch_size, ..
    } = fine.geometry;
    let grid = coarse.grid(fine.geometry.grid());
    let (width, height) = (
        (grid.cols * patch_size) as u32,
        (grid.rows * patch_size) as u32,
    );
    let plane = padded.0 as usize * padded.1 as usize;
    let mut pixels = Vec::with_capacity(3 * width as usize * height as usize);
    for plane in fine.pixels.chunks_exact(plane) {
        let smaller = resize_plane(plane, padded, (width, height))
            .map_err(|why| Error::Model(format!("resizing an input to {width}x{height}: {why}")))?;
        pixels.extend(smaller);
    }
    Ok(PreparedImage {
        pixels,
        geometry: Geometry::new((width, height), SizeRule::Native, patch_size),
    })
}

/// Resizes one channel, `[height, width]`, to `to` = (width, height).
fn resize_plane(
    plane: &[f32],
    (width, height): (u32, u32),
    to: (u32, u32),
) -> std::result::Result<Vec<f32>, Box<dyn std::error::Error>> {
    let bytes = cast_slice(plane);
    let source = fir::images::ImageRef::new(width, height, bytes, fir::PixelType::F32)?;
    let mut out = vec![0f32; to.0 as usize * to.1 as usize];
    let target = bytemuck::cast_slice_mut(&mut out);
    let mut target = fir::images::Image::from_slice_u8(to.0, to.1, target, fir::PixelType::F32)?;
    let kernel = fir::ResizeAlg::Convolution(fir::FilterType::CatmullRom);
    let options = fir::ResizeOptions::new().resize_alg(kernel);
    fir::Resizer::new().resize(&source, &mut target, &options)?;
    drop(target);
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_even_stays_so_and_the_mirror_image_is_one() {
        let geometry = Geometry::new((70, 42), SizeRule::Native, 14);
        let pixels = |value: fn(usize) -> f32| PreparedImage {
            pixels: (0..3 * 70 * 42).map(value).collect(),
            geometry,
        };
        let coarse = CoarseScale::try_from(40).unwrap();
        let even = shrink_input(coarse, &pixels(|_| -1.5)).unwrap();
        assert_eq!(even.geometry.padded, (28, 14));
        assert_eq!(even.pixels.len(), 3 * 28 * 14);
        assert!(even.pixels.iter().all(|v| (v + 1.5).abs() < 1e-5));
        let photo = pixels(|i| ((i * 37) % 101) as f32 / 50.0);
        let mirrored = shrink_input(coarse, &photo.mirrored()).unwrap();
        let same = shrink_input(coarse, &photo).unwrap().mirrored();
        let off = mirrored.pixels.iter().zip(&same.pixels);
        assert!(off.map(|(a, b)| (a - b).abs()).all(|off| off < 1e-4));
    }
}
