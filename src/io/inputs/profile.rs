//! Colour profiles: from the colours that a file means to sRGB, which the networks were trained on.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use super::raster::ColorModel;

/// Transforms of one level in 255 are roundings.
const MAX_ROUNDING: u8 = 1;

/// What a profile makes of samples.
pub(super) enum IccProfile {
    /// They are sRGB already, or as good as.
    Srgb,
    /// They are brought to sRGB, bytes to bytes or words to words.
    Transform(Box<ColorProfile>),
}

/// Reads a profile that goes with samples of `colour`.
///
/// # Errors
/// What is wrong with it, as a part of a sentence about the file.
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
        let seen = profile.bytes_to_srgb(&probes, colour)?;
        let same = seen
            .iter()
            .zip(expected)
            .all(|(a, b)| a.abs_diff(*b) <= MAX_ROUNDING);
        if same {
            return Ok(IccProfile::Srgb);
        }
    }
    Ok(profile)
}

/// Colours all over the cube, or all greys.
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
    /// Interleaved samples, without alpha, to sRGB.
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
                options(),
            )
            .map_err(|error| unusable(&error))?;
        let mut out = vec![0; samples.len() / colour.channels() * 3];
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

    /// As [`IccProfile::bytes_to_srgb`], for 16 bits.
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
                options(),
            )
            .map_err(|error| unusable(&error))?;
        let mut out = vec![0; samples.len() / colour.channels() * 3];
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
}

/// Pixels that are transformed at a time, as a power of two.
const BLOCK_PIXELS_LOG2: usize = 16;

fn layout(colour: ColorModel) -> Layout {
    match colour {
        ColorModel::Grey => Layout::Gray,
        ColorModel::Rgb | ColorModel::Lab => Layout::Rgb,
        // Four channels, whatever they are.
        ColorModel::Cmyk => Layout::Rgba,
    }
}

fn options() -> TransformOptions {
    TransformOptions::default()
}

fn unusable(error: &moxcms::CmsError) -> String {
    format!("its colour profile cannot be used ({error})")
}
