//! Colour profiles: from the colours that a file means to sRGB, which the networks were trained on.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use super::raster::Colour;

/// Transforms of one level in 255 are roundings.
const UNSEEN: u8 = 1;

/// What a profile makes of samples.
pub(super) enum Profile {
    /// They are sRGB already, or as good as.
    Srgb,
    /// They are brought to sRGB, bytes to bytes or words to words.
    Transform(Box<ColorProfile>),
}

/// Reads a profile that goes with samples of `colour`.
///
/// # Errors
/// What is wrong with it, as a part of a sentence about the file.
pub(super) fn read(icc: &[u8], colour: Colour) -> Result<Profile, String> {
    let profile = ColorProfile::new_from_slice(icc)
        .map_err(|_| "its colour profile cannot be read".to_owned())?;
    let fits = matches!(
        (profile.color_space, colour),
        (DataColorSpace::Rgb, Colour::Rgb)
            | (DataColorSpace::Gray, Colour::Grey)
            | (DataColorSpace::Cmyk, Colour::Cmyk)
            | (DataColorSpace::Lab, Colour::Lab)
    );
    if !fits {
        return Err(format!(
            "its colour profile is for {:?}, but its pixels are {colour:?}",
            profile.color_space
        ));
    }
    let profile = Profile::Transform(Box::new(profile));
    if matches!(colour, Colour::Rgb | Colour::Grey) {
        let probes = probes(colour);
        let grey_as_is;
        let expected = match colour {
            Colour::Grey => {
                grey_as_is = probes.iter().flat_map(|&v| [v; 3]).collect::<Vec<u8>>();
                &grey_as_is
            }
            _ => &probes,
        };
        let seen = profile.bytes_to_srgb(&probes, colour)?;
        let same = seen
            .iter()
            .zip(expected)
            .all(|(a, b)| a.abs_diff(*b) <= UNSEEN);
        if same {
            return Ok(Profile::Srgb);
        }
    }
    Ok(profile)
}

/// Colours all over the cube, or all greys.
fn probes(colour: Colour) -> Vec<u8> {
    if colour == Colour::Grey {
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

impl Profile {
    /// Interleaved samples, without alpha, to sRGB.
    ///
    /// # Errors
    /// If the profile describes no transform.
    pub fn bytes_to_srgb(&self, samples: &[u8], colour: Colour) -> Result<Vec<u8>, String> {
        let Profile::Transform(profile) = self else {
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
        let (from, to) = (colour.channels() << PIECE, 3 << PIECE);
        for (samples, out) in samples.chunks(from).zip(out.chunks_mut(to)) {
            transform
                .transform(samples, out)
                .map_err(|error| unusable(&error))?;
        }
        Ok(out)
    }

    /// As [`Profile::bytes_to_srgb`], for 16 bits.
    ///
    /// # Errors
    /// If the profile describes no transform.
    pub fn words_to_srgb(&self, samples: &[u16], colour: Colour) -> Result<Vec<u16>, String> {
        let Profile::Transform(profile) = self else {
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
        let (from, to) = (colour.channels() << PIECE, 3 << PIECE);
        for (samples, out) in samples.chunks(from).zip(out.chunks_mut(to)) {
            transform
                .transform(samples, out)
                .map_err(|error| unusable(&error))?;
        }
        Ok(out)
    }
}

/// Pixels that are transformed at a time, as a power of two.
const PIECE: usize = 16;

fn layout(colour: Colour) -> Layout {
    match colour {
        Colour::Grey => Layout::Gray,
        Colour::Rgb | Colour::Lab => Layout::Rgb,
        // Four channels, whatever they are.
        Colour::Cmyk => Layout::Rgba,
    }
}

fn options() -> TransformOptions {
    TransformOptions::default()
}

fn unusable(error: &moxcms::CmsError) -> String {
    format!("its colour profile cannot be used ({error})")
}
