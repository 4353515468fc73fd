//! ICC profiles (ICC.1): converts samples of a file to sRGB, which the networks were trained on, through the crate
//! moxcms.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformExecutor, TransformOptions};

use super::raster::ColorModel;

/// Maximum change of the 8-bit probes by a profile that counts as sRGB.
const MAX_ROUNDING: u8 = 1;

/// A profile that fits the colour model of a raster.
pub(super) enum IccProfile {
    /// sRGB, or differing from it only by rounding.
    Srgb,
    /// Samples are transformed to sRGB of the same width, 8 or 16 bits.
    Transform(Box<ColorProfile>),
}

/// Reads the profile of a raster of `colour`.
///
/// # Errors
/// If it cannot be read or used, or is for another colour model, as a part of a sentence about the file.
pub(super) fn read(icc: &[u8], colour: ColorModel) -> Result<IccProfile, String> {
    let profile = ColorProfile::new_from_slice(icc)
        .map_err(|_| "its colour profile cannot be read".to_owned())?;
    let fits = matches!(
        (profile.color_space, colour),
        (DataColorSpace::Rgb, ColorModel::Rgb)
            | (DataColorSpace::Gray, ColorModel::Grey)
            | (DataColorSpace::Cmyk, ColorModel::Cmyk)
            | (DataColorSpace::Lab, ColorModel::Lab)
    );
    if !fits {
        return Err(format!(
            "its colour profile is for {:?}, but its pixels are {colour:?}",
            profile.color_space
        ));
    }
    let profile = IccProfile::Transform(Box::new(profile));
    if matches!(colour, ColorModel::Rgb | ColorModel::Grey) {
        let probes = probes(colour);
        let grey_as_is;
        let expected = match colour {
            ColorModel::Grey => {
                grey_as_is = probes.iter().flat_map(|&v| [v; 3]).collect::<Vec<u8>>();
                &grey_as_is
            }
            _ => &probes,
        };
        let transformed = profile.bytes_to_srgb(&probes, colour)?;
        let is_same = transformed
            .iter()
            .zip(expected)
            .all(|(a, b)| a.abs_diff(*b) <= MAX_ROUNDING);
        if is_same {
            return Ok(IccProfile::Srgb);
        }
    }
    Ok(profile)
}

/// 8-bit test colours: a regular grid over the RGB cube, or all greys.
fn probes(colour: ColorModel) -> Vec<u8> {
    if colour == ColorModel::Grey {
        return (0..=255).collect();
    }
    let steps = || (0..=15u8).map(|step| step * 17);
    let mut probes = Vec::with_capacity(3 * 16 * 16 * 16);
    for r in steps() {
        for g in steps() {
            for b in steps() {
                probes.extend([r, g, b]);
            }
        }
    }
    probes
}

impl IccProfile {
    /// Transforms interleaved 8-bit samples without alpha to interleaved sRGB.
    ///
    /// # Errors
    /// If the profile describes no transform.
    pub fn bytes_to_srgb(&self, samples: &[u8], colour: ColorModel) -> Result<Vec<u8>, String> {
        let IccProfile::Transform(profile) = self else {
            return Ok(samples.to_vec());
        };
        let transform = profile
            .create_transform_8bit(
                layout(colour),
                &ColorProfile::new_srgb(),
                Layout::Rgb,
                TransformOptions::default(),
            )
            .map_err(|error| unusable(&error))?;
        transform_blocks(&*transform, samples, colour)
    }

    /// As [`IccProfile::bytes_to_srgb`], for 16-bit samples.
    ///
    /// # Errors
    /// If the profile describes no transform.
    pub fn words_to_srgb(&self, samples: &[u16], colour: ColorModel) -> Result<Vec<u16>, String> {
        let IccProfile::Transform(profile) = self else {
            return Ok(samples.to_vec());
        };
        let transform = profile
            .create_transform_16bit(
                layout(colour),
                &ColorProfile::new_srgb(),
                Layout::Rgb,
                TransformOptions::default(),
            )
            .map_err(|error| unusable(&error))?;
        transform_blocks(&*transform, samples, colour)
    }
}

/// Binary logarithm of the number of pixels that are transformed at a time.
const BLOCK_PIXELS_LOG2: usize = 16;

/// Applies `transform` to interleaved samples of `colour`, a block of pixels at a time.
fn transform_blocks<T: Copy + Default>(
    transform: &(dyn TransformExecutor<T> + Send + Sync),
    samples: &[T],
    colour: ColorModel,
) -> Result<Vec<T>, String> {
    let mut out = vec![T::default(); samples.len() / colour.channels() * 3];
    let (from, to) = (
        colour.channels() << BLOCK_PIXELS_LOG2,
        3 << BLOCK_PIXELS_LOG2,
    );
    for (samples, out) in samples.chunks(from).zip(out.chunks_mut(to)) {
        transform
            .transform(samples, out)
            .map_err(|error| unusable(&error))?;
    }
    Ok(out)
}

/// The moxcms layout with the channels of a colour model.
fn layout(colour: ColorModel) -> Layout {
    match colour {
        ColorModel::Grey => Layout::Gray,
        ColorModel::Rgb | ColorModel::Lab => Layout::Rgb,
        // moxcms has one layout for any four channels.
        ColorModel::Cmyk => Layout::Rgba,
    }
}

/// The message for a profile that cannot be applied.
fn unusable(error: &moxcms::CmsError) -> String {
    format!("its colour profile cannot be used ({error})")
}
