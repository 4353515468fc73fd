//! A photo becomes the input of a backbone: resized, normalised with ImageNet's mean and standard deviation, and padded
//! to whole patches ([`Preprocessor::prepare`]: 8-bit RGB to `[3, height, width]` of f32).
//!
//! [`Geometry`] describes how the photo lies in that input: its sizes in pixels before and after resizing and padding,
//! and how a map over the patch grid is brought back to the photo's pixels. The bits follow the references: torchvision
//! and Pillow for bicubic resizing, `cv2.resize` for bilinear, and `CenterPadding` of DINOv2's depth and segmentation
//! code.

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

/// Mean of ImageNet's red, green and blue on a scale of 0..1, with which every DINO model was trained.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet's red, green and blue on a scale of 0..1.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// The settings by which photos become inputs of a backbone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preprocessor {
    /// The size to which photos are resized, before padding.
    pub size: SizeRule,
    /// The kernel that resizes them.
    pub resample: Resample,
    /// Side of a patch in pixels; the sides of the input are multiples of it.
    pub patch_size: usize,
    /// Whether sides become multiples by padding or by resizing.
    pub padding: Padding,
    /// How maps over the padded input are brought back to the photo.
    pub unpad: Unpad,
    /// Most patches of an input; a photo that would have more is made smaller. `None` applies the limit of
    /// [`Geometry::with_padding`].
    pub max_patches: Option<usize>,
    /// For classifiers of whole photos: side in pixels of the square cut out of the middle of the resized photo.
    pub center_crop: Option<u32>,
}

/// A photo as the input of a backbone.
#[derive(Debug, Clone)]
pub struct PreparedImage {
    /// Normalised planar RGB, `[3, height, width]` with the sides of [`Geometry::padded`].
    pub pixels: Vec<f32>,
    /// How the photo lies in those pixels.
    pub geometry: Geometry,
}

impl Preprocessor {
    /// The settings of the published scripts for an image that is already resized: padding on all sides, and maps that
    /// are resized to the photo with their padding ([`Unpad::Squeeze`]).
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
    ///
    /// # Errors
    /// [`Error::Model`] if the photo cannot be resized.
    pub fn prepare(&self, photo: &RgbImage) -> Result<PreparedImage> {
        self.prepare_with(photo, self.geometry(photo.dimensions()))
    }

    /// The geometry of the input that a photo of `photo` = (width, height) becomes.
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

    /// As [`Preprocessor::prepare`], with the `geometry` of the photo computed before.
    ///
    /// # Errors
    /// As [`Preprocessor::prepare`].
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
    /// The input of the mirrored photo (left and right exchanged). Under [`Unpad::Crop`] and [`Unpad::Cubic`] the
    /// padding is mirrored too, so that every patch has its counterpart; under [`Unpad::Squeeze`] the photo alone is
    /// mirrored within its padding, as in the published scripts.
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

    /// Stacks inputs of one padded size into a tensor `[batch, 3, height, width]` on the CPU.
    ///
    /// # Errors
    /// [`Error::Memory`] if it does not fit; [`Error::Model`] if the sizes differ.
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

/// Normalises `image` and centres it in the padded input, `[3, height, width]`. As `CenterPadding` does it, the
/// *normalised* tensor is padded with zeros, which is the mean colour.
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
