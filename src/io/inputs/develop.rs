//! Develops a [`SourceRaster`] to upright 8-bit sRGB `[height, width, 3]`, in this order:
//!
//! 1. levels ([`levels`]): chooses the sample values that become black and white;
//! 2. colours ([`profile`]): by the ICC profile of the file, or by the plain formulas of its colour model;
//! 3. background: transparent pixels are composited over one colour, unless alpha is to be ignored;
//! 4. orientation: the image is turned and mirrored as EXIF or XMP records.

use image::{DynamicImage, GrayImage, RgbImage};

use super::levels::{self, Levels};
use super::options::{Background, DecodeOptions};
use super::profile::{self, IccProfile};
use super::raster::{Alpha, ColorModel, RasterSamples, SourceRaster};
use crate::terminal::warnings::Warnings;

/// Develops `raster`, the image of the file called `name`; warnings about it go to `warnings`.
///
/// # Errors
/// If the samples do not fill the size, as a part of a sentence about the file.
pub(super) fn develop(
    mut raster: SourceRaster,
    options: &DecodeOptions,
    name: &str,
    warnings: &Warnings,
) -> Result<RgbImage, String> {
    if !raster.is_whole() {
        return Err("is damaged: it holds fewer pixels than its size says".into());
    }
    let chosen = levels::choose_levels(&raster, options.stretch);
    if let Some((kind, sentence)) = chosen.warning {
        warnings.add(kind, name, sentence);
    }
    let levels = chosen.levels;
    let is_plain = levels == Levels::new(0.0, raster.white);
    let alpha = split_alpha(&mut raster);
    let profile = match raster.icc.take() {
        Some(icc) if options.icc && is_plain => match profile::read(&icc, raster.colour) {
            Ok(profile) => Some(profile),
            Err(why) => {
                let sentence = format!("{why}; colours are taken as sRGB");
                warnings.add("unusable colour profile", name, sentence);
                None
            }
        },
        _ => None,
    };
    let mut rgb = to_srgb(&mut raster, levels, profile.as_ref()).or_else(|why| {
        let sentence = format!("{why}; colours are taken as sRGB");
        warnings.add("unusable colour profile", name, sentence);
        to_srgb(&mut raster, levels, None)
    })?;
    if let (Some(alpha), Some(background)) = (&alpha, options.background.colour()) {
        if alpha.iter().all(|&a| a == 0) {
            let sentence = "is transparent everywhere, so its alpha channel is left out of account";
            warnings.add("transparent everywhere", name, sentence);
        } else if alpha.iter().any(|&a| a < 255) {
            composite(&mut rgb, alpha, background);
            let what = match options.background {
                Background::Mean => "the network's mean colour".to_owned(),
                other => other.to_string(),
            };
            let sentence = format!(
                "has transparent parts, which are seen as {what}; --background gives another colour, --drop-alpha \
                 uncovers what lies under them"
            );
            warnings.add("transparent parts", name, sentence);
        }
    }
    let image = RgbImage::from_raw(raster.width, raster.height, rgb)
        .ok_or("is damaged: it holds fewer pixels than its size says")?;
    let mut upright = DynamicImage::ImageRgb8(image);
    upright.apply_orientation(raster.orientation);
    Ok(upright.into_rgb8())
}

/// The alpha channel, upright, 0 transparent to 255 opaque; `None` if there is none, or it has the same value
/// everywhere.
pub(super) fn opacity(mut raster: SourceRaster) -> Option<GrayImage> {
    let alpha = split_alpha(&mut raster).filter(|_| raster.is_whole())?;
    if alpha.iter().all(|a| Some(a) == alpha.first()) {
        return None;
    }
    let image = GrayImage::from_raw(raster.width, raster.height, alpha)?;
    let mut upright = DynamicImage::ImageLuma8(image);
    upright.apply_orientation(raster.orientation);
    Some(upright.into_luma8())
}

/// Removes the alpha channel from `raster` and returns it, 0 to 255; premultiplied colours are divided by it. `None` if
/// there is none.
fn split_alpha(raster: &mut SourceRaster) -> Option<Vec<u8>> {
    let kind = std::mem::replace(&mut raster.alpha, Alpha::None);
    if kind == Alpha::None {
        return None;
    }
    let colours = raster.colour.channels();
    let is_premultiplied = kind == Alpha::Premultiplied;
    let white = raster.white;
    let mut alpha = Vec::with_capacity(raster.samples.len() / (colours + 1));
    raster.samples = match std::mem::replace(&mut raster.samples, RasterSamples::U8(Vec::new())) {
        RasterSamples::U8(values) => {
            let opacity = |value: u8| f32::from(value) / white;
            let divide = |value: u8, a: f32| (f32::from(value) / a).round().min(white) as u8;
            let divide = is_premultiplied.then_some(divide);
            RasterSamples::U8(take_alpha(&values, colours, opacity, divide, &mut alpha))
        }
        RasterSamples::U16(values) => {
            let opacity = |value: u16| f32::from(value) / white;
            let divide = |value: u16, a: f32| (f32::from(value) / a).round().min(white) as u16;
            let divide = is_premultiplied.then_some(divide);
            RasterSamples::U16(take_alpha(&values, colours, opacity, divide, &mut alpha))
        }
        RasterSamples::F32(values) => {
            let divide = is_premultiplied.then_some(|value: f32, a: f32| value / a);
            let opacity = |value: f32| value / white;
            RasterSamples::F32(take_alpha(&values, colours, opacity, divide, &mut alpha))
        }
    };
    Some(alpha)
}

/// The first `colours` samples of each pixel, divided by its opacity above 0 where `divide` is given; the last sample
/// of each goes to `alpha`, scaled by `opacity` to 0..1 and from there to 0..255.
fn take_alpha<T: Copy>(
    values: &[T],
    colours: usize,
    opacity: impl Fn(T) -> f32,
    divide: Option<impl Fn(T, f32) -> T>,
    alpha: &mut Vec<u8>,
) -> Vec<T> {
    let mut kept = Vec::with_capacity(values.len() / (colours + 1) * colours);
    for pixel in values.chunks_exact(colours + 1) {
        let a = opacity(pixel[colours]);
        alpha.push((a * 255.0).round() as u8);
        let pixel = pixel[..colours].iter();
        kept.extend(pixel.map(|&value| match &divide {
            Some(divide) if a > 0.0 => divide(value, a),
            _ => value,
        }));
    }
    kept
}

/// Converts samples without alpha to interleaved 8-bit sRGB; takes them out of `raster`, unless the profile fails.
///
/// # Errors
/// If the profile describes no transform.
fn to_srgb(
    raster: &mut SourceRaster,
    levels: Levels,
    profile: Option<&IccProfile>,
) -> Result<Vec<u8>, String> {
    let colour = raster.colour;
    let nodata = raster.nodata.map(|value| value as f32);
    if let Some(profile @ IccProfile::Transform(_)) = profile {
        return Ok(match &raster.samples {
            RasterSamples::U8(bytes) if levels.high == 255.0 => {
                profile.bytes_to_srgb(bytes, colour)?
            }
            samples => {
                let words: Vec<u16> = match samples {
                    RasterSamples::U16(words) if levels.high == 65535.0 => words.clone(),
                    samples => scale_samples(samples, levels, nodata, 65535.0)
                        .map(|v| v.round() as u16)
                        .collect(),
                };
                let srgb = profile.words_to_srgb(&words, colour)?;
                srgb.into_iter().map(narrow).collect()
            }
        });
    }
    let spans = |white| levels == Levels::new(0.0, white);
    let bytes: Vec<u8> = match &mut raster.samples {
        // 8-bit photos are moved, not copied.
        RasterSamples::U8(bytes) if spans(255.0) => std::mem::take(bytes),
        RasterSamples::U16(words) if spans(65535.0) && nodata.is_none() => {
            words.iter().map(|&word| narrow(word)).collect()
        }
        samples => scale_samples(samples, levels, nodata, 255.0)
            .map(|v| v.round() as u8)
            .collect(),
    };
    Ok(match colour {
        ColorModel::Rgb => bytes,
        ColorModel::Grey => bytes.into_iter().flat_map(|v| [v; 3]).collect(),
        ColorModel::Cmyk => {
            let pixels = bytes.as_chunks::<4>().0.iter();
            pixels.flat_map(|&inks| cmyk_to_rgb(inks)).collect()
        }
        ColorModel::Lab => {
            let pixels = bytes.as_chunks::<3>().0.iter();
            pixels.flat_map(|&lab| lab_to_srgb(lab)).collect()
        }
    })
}

/// A 16-bit value as 8 bits, rounded.
fn narrow(word: u16) -> u8 {
    ((u32::from(word) * 255 + 32_767) / 65_535) as u8
}

/// Scales samples linearly, so that the levels become 0 and `max`, and clamps them; invalid values (nodata, NaN) become
/// 0.
fn scale_samples(
    samples: &RasterSamples,
    levels: Levels,
    nodata: Option<f32>,
    max: f32,
) -> Box<dyn Iterator<Item = f32> + '_> {
    let scale = max / (levels.high - levels.low);
    let scaled = move |value: f32| {
        let position = (value - levels.low) * scale;
        let (first, last) = levels.valid_range;
        match (first..=last).contains(&value) && Some(value) != nodata {
            true => position.clamp(0.0, max),
            false => 0.0,
        }
    };
    match samples {
        RasterSamples::U8(values) => Box::new(values.iter().map(move |&v| scaled(v.into()))),
        RasterSamples::U16(values) => Box::new(values.iter().map(move |&v| scaled(v.into()))),
        RasterSamples::F32(values) => Box::new(values.iter().map(move |&v| scaled(v))),
    }
}

/// CMYK to RGB by the naive formula (1 - ink)(1 - black), for files without an ICC profile.
fn cmyk_to_rgb([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    [c, m, y].map(|ink| {
        let product = u32::from(255 - ink) * u32::from(255 - k);
        ((product + 127) / 255) as u8
    })
}

/// L*a*b* in ICC's 8-bit encoding (white point D50) to sRGB (IEC 61966-2-1).
fn lab_to_srgb([l, a, b]: [u8; 3]) -> [u8; 3] {
    let y = (f32::from(l) / 255.0 * 100.0 + 16.0) / 116.0;
    let x = y + (f32::from(a) - 128.0) / 500.0;
    let z = y - (f32::from(b) - 128.0) / 200.0;
    let linear = |t: f32| match t > 6.0 / 29.0 {
        true => t * t * t,
        false => 3.0 * (6.0 / 29.0f32).powi(2) * (t - 4.0 / 29.0),
    };
    let (x, y, z) = (0.964_22 * linear(x), linear(y), 0.825_21 * linear(z));
    // XYZ (D50) to linear sRGB, Bradford-adapted.
    let rgb = [
        3.133_856 * x - 1.616_867 * y - 0.490_615 * z,
        -0.978_768 * x + 1.916_142 * y + 0.033_454 * z,
        0.071_945 * x - 0.228_991 * y + 1.405_243 * z,
    ];
    rgb.map(|v: f32| {
        let v = v.clamp(0.0, 1.0);
        let encoded = match v <= 0.003_130_8 {
            true => 12.92 * v,
            false => 1.055 * v.powf(1.0 / 2.4) - 0.055,
        };
        (encoded * 255.0).round() as u8
    })
}

/// Composites `rgb` over `background` in place, with one value of `alpha` per pixel.
fn composite(rgb: &mut [u8], alpha: &[u8], background: [u8; 3]) {
    for (pixel, &a) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(alpha) {
        let (over, under) = (u32::from(a), u32::from(255 - a));
        for (value, behind) in pixel.iter_mut().zip(background) {
            *value = ((u32::from(*value) * over + u32::from(behind) * under + 127) / 255) as u8;
        }
    }
}
