//! A photo becomes a tensor: resize, normalise, pad to whole patches. [`Geometry`] remembers the way back.

pub mod coarse_scale;
pub mod pillow;
pub mod resize;

use candle_core::{Device, Tensor};
use image::RgbImage;
use rayon::prelude::*;

pub use coarse_scale::shrink_input;
pub use resize::Resample;

use crate::error::{Error, Result};
use crate::model::input::{Geometry, Padding, SizeRule, Unpad};
use crate::system::memory::try_vec;

/// ImageNet's mean on a 0..1 scale, which every DINO model was trained with.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet's standard deviation on a 0..1 scale.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// How photos are made ready for a backbone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preprocessor {
    /// The size the network sees.
    pub size: SizeRule,
    /// How the photo is resized to it.
    pub resample: Resample,
    /// Side of a patch; sides become multiples of it.
    pub patch_size: usize,
    /// How they do.
    pub padding: Padding,
    /// What becomes of padding on the way back.
    pub unpad: Unpad,
    /// Patches that a photo may have, whatever its size; it is made smaller beyond. None leaves it to the size.
    pub max_patches: Option<usize>,
    /// For classes of whole photos, what is cut out of the middle of the resized photo.
    pub center_crop: Option<u32>,
}

/// A photo as the backbone takes it.
#[derive(Debug, Clone)]
pub struct PreparedImage {
    /// Normalised planar RGB, `[3, H, W]`, sides multiples of the patch size.
    pub pixels: Vec<f32>,
    /// How the photo lies in those pixels.
    pub geometry: Geometry,
}

impl Preprocessor {
    /// As the published scripts take a picture that has its size already: padded all around, and squeezed on the way
    /// back.
    pub fn published(patch_size: usize) -> Self {
        Self {
            size: SizeRule::Native,
            resample: Resample::Bicubic,
            patch_size,
            padding: Padding::Center,
            unpad: Unpad::Squeeze,
            max_patches: None,
            center_crop: None,
        }
    }

    /// Resizes, normalises and pads one photo.
    pub fn prepare(&self, photo: &RgbImage) -> Result<PreparedImage> {
        self.prepare_with(photo, self.geometry(photo.dimensions()))
    }

    /// How a photo of `photo` = (width, height) will lie in the backbone's input.
    pub fn geometry(&self, photo: (u32, u32)) -> Geometry {
        let (photo, size) = match self.center_crop {
            Some(side) => ((side, side), SizeRule::Native),
            None => (photo, self.size),
        };
        let geometry = match self.max_patches {
            Some(most) => {
                Geometry::with_patch_limit(photo, size, self.patch_size, self.padding, most)
            }
            None => Geometry::with_padding(photo, size, self.patch_size, self.padding),
        };
        geometry.with_unpad(self.unpad)
    }

    /// As [`Preprocessor::prepare`], for a `geometry` of the photo that is known already.
    pub fn prepare_with(&self, photo: &RgbImage, geometry: Geometry) -> Result<PreparedImage> {
        let (width, height) = geometry.resized;
        let cut;
        let photo = match self.center_crop {
            Some(side) => {
                cut = resize::center_crop(photo, self.size, side, self.resample)?;
                &cut
            }
            None => photo,
        };
        let resized;
        let image = if photo.dimensions() == (width, height) {
            photo
        } else {
            resized = resize::resize_rgb(photo, width, height, self.resample)?;
            &resized
        };
        Ok(PreparedImage {
            pixels: normalise_and_pad(image, &geometry),
            geometry,
        })
    }
}

impl PreparedImage {
    /// The mirror image. Where padding will be cut off it is mirrored too, so that every patch has its counterpart;
    /// where it will be squeezed the photo is mirrored and then padded, as the published scripts have it.
    pub fn mirrored(&self) -> Self {
        let width = self.geometry.padded.0 as usize;
        let mirrored = match self.geometry.unpad {
            Unpad::Crop | Unpad::Cubic => 0..width,
            Unpad::Squeeze => {
                let start = self.geometry.pad_left as usize;
                start..start + self.geometry.resized.0 as usize
            }
        };
        let mut pixels = self.pixels.clone();
        for row in pixels.chunks_exact_mut(width) {
            row[mirrored.clone()].reverse();
        }
        Self {
            pixels,
            geometry: self.geometry,
        }
    }

    /// Stacks photos of one padded size into `[B, 3, H, W]` on the CPU.
    ///
    /// # Errors
    /// If there is no memory for them, or their sizes differ.
    pub fn stack(batch: &[&PreparedImage]) -> Result<Tensor> {
        let (w, h) = batch.first().map_or((0, 0), |one| one.geometry.padded);
        let count = 3 * w as usize * h as usize;
        if batch.iter().any(|one| one.pixels.len() != count) {
            return Err(Error::Model("photos of several sizes in one batch".into()));
        }
        let mut pixels = try_vec(0f32, batch.len() * count)?;
        // A large batch is hundreds of megabytes, which one thread copies more slowly than a GPU computes them.
        pixels
            .par_chunks_exact_mut(count.max(1))
            .zip(batch)
            .for_each(|(to, one)| to.copy_from_slice(&one.pixels));
        let shape = (batch.len(), 3, h as usize, w as usize);
        Ok(Tensor::from_vec(pixels, shape, &Device::Cpu)?)
    }
}

/// CenterPadding pads the *normalised* tensor with zeros, which is the mean colour.
fn normalise_and_pad(image: &RgbImage, geometry: &Geometry) -> Vec<f32> {
    let (padded_w, padded_h) = (geometry.padded.0 as usize, geometry.padded.1 as usize);
    let plane = padded_w * padded_h;
    let mut pixels = vec![0f32; 3 * plane];
    let mut lut = [[0f32; 256]; 3];
    for channel in 0..3 {
        for (level, value) in lut[channel].iter_mut().enumerate() {
            *value = (level as f32 / 255.0 - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel];
        }
    }
    let width = image.width() as usize;
    for (y, row) in image.as_raw().chunks_exact(3 * width).enumerate() {
        let start = (y + geometry.pad_top as usize) * padded_w + geometry.pad_left as usize;
        for (x, rgb) in row.chunks_exact(3).enumerate() {
            for channel in 0..3 {
                pixels[channel * plane + start + x] = lut[channel][rgb[channel] as usize];
            }
        }
    }
    pixels
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_zero_and_the_photo_is_normalised() {
        let photo = RgbImage::from_pixel(13, 14, image::Rgb([255, 0, 128]));
        let preprocessor = Preprocessor {
            size: SizeRule::Native,
            resample: Resample::Bicubic,
            patch_size: 14,
            padding: Padding::Center,
            unpad: Unpad::Crop,
            max_patches: None,
            center_crop: None,
        };
        let prepared = preprocessor.prepare(&photo).unwrap();
        assert_eq!(prepared.geometry.padded, (14, 14));
        // 13 -> 14 leaves one column, at the right: left = pad / 2.
        assert_eq!(prepared.pixels[13], 0.0);
        assert!((prepared.pixels[0] - (1.0 - 0.485) / 0.229).abs() < 1e-6);
        assert!((prepared.pixels[14 * 14] - (0.0 - 0.456) / 0.224).abs() < 1e-6);
    }

    #[test]
    fn mirror_images_keep_padding_where_it_will_be_squeezed() {
        let photo = RgbImage::from_fn(13, 14, |x, _| image::Rgb([x as u8; 3]));
        let of = |unpad| {
            let preprocessor = Preprocessor {
                size: SizeRule::Native,
                resample: Resample::Bicubic,
                patch_size: 14,
                padding: Padding::Center,
                unpad,
                max_patches: None,
                center_crop: None,
            };
            preprocessor.prepare(&photo).unwrap()
        };
        let (plain, cut) = (of(Unpad::Crop), of(Unpad::Crop).mirrored());
        assert!(cut.pixels[0] == 0.0 && cut.pixels[1] == plain.pixels[12]);
        let squeezed = of(Unpad::Squeeze).mirrored();
        assert!(squeezed.pixels[13] == 0.0 && squeezed.pixels[0] == plain.pixels[12]);
    }
}
