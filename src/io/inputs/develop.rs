//! From a file's samples to upright 8-bit sRGB: levels, colour profile, background, orientation, in this order.

use image::{DynamicImage, GrayImage, RgbImage};

use super::levels::{self, Levels};
use super::options::{Background, DecodeOptions};
use super::profile::{self, IccProfile};
use super::raster::{Alpha, ColorModel, RasterSamples, SourceRaster};
use crate::terminal::warnings::Warnings;

/// Develops `raster`, the image of the file called `name`.
///
/// # Errors
/// If there is not as much of it as its size says.
pub(super) fn develop(
    mut raster: SourceRaster,
    options: &DecodeOptions,
    name: &str,
    warnings: &Warnings,
) -> Result<RgbImage, String> {
    if !raster.is_whole() {
        return Err("is damaged: it holds fewer pixels than its size says".into());
    }
    let settled = levels::choose_levels(&raster, options.stretch);
    if let Some((kind, sentence)) = settled.warning {
        warnings.add(kind, name, sentence);
    }
    let levels = settled.levels;
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

/// How opaque pixels are, upright; none where all are alike, for then a file has no say in it.
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

/// Takes the alpha channel out, as 8 bits, and undoes what it did to colours.
fn split_alpha(raster: &mut SourceRaster) -> Option<Vec<u8>> {
    let kind = std::mem::replace(&mut raster.alpha, Alpha::None);
    if kind == Alpha::None {
        return None;
    }
    let colours = raster.colour.channels();
    let premultiplied = kind == Alpha::Premultiplied;
    let white = raster.white;
    let mut alpha = Vec::with_capacity(raster.samples.len() / (colours + 1));
    raster.samples = match std::mem::replace(&mut raster.samples, RasterSamples::U8(Vec::new())) {
        RasterSamples::U8(values) => {
            let mut kept = Vec::with_capacity(values.len() / (colours + 1) * colours);
            for pixel in values.chunks_exact(colours + 1) {
                let a = f32::from(pixel[colours]) / white;
                alpha.push((a * 255.0).round() as u8);
                kept.extend(
                    pixel[..colours]
                        .iter()
                        .map(|&v| match premultiplied && a > 0.0 {
                            true => (f32::from(v) / a).round().min(white) as u8,
                            false => v,
                        }),
                );
            }
            RasterSamples::U8(kept)
        }
        RasterSamples::U16(values) => {
            let mut kept = Vec::with_capacity(values.len() / (colours + 1) * colours);
            for pixel in values.chunks_exact(colours + 1) {
                let a = f32::from(pixel[colours]) / white;
                alpha.push((a * 255.0).round() as u8);
                kept.extend(
                    pixel[..colours]
                        .iter()
                        .map(|&v| match premultiplied && a > 0.0 {
                            true => (f32::from(v) / a).round().min(white) as u16,
                            false => v,
                        }),
                );
            }
            RasterSamples::U16(kept)
        }
        RasterSamples::F32(values) => {
            let mut kept = Vec::with_capacity(values.len() / (colours + 1) * colours);
            for pixel in values.chunks_exact(colours + 1) {
                let a = pixel[colours] / white;
                alpha.push((a * 255.0).round() as u8);
                kept.extend(
                    pixel[..colours]
                        .iter()
                        .map(|&v| match premultiplied && a > 0.0 {
                            true => v / a,
                            false => v,
                        }),
                );
            }
            RasterSamples::F32(kept)
        }
    };
    Some(alpha)
}

/// Samples without alpha, which are used up, to interleaved sRGB; where the profile fails they are kept.
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
    let whole = |white| levels == Levels::new(0.0, white);
    let bytes: Vec<u8> = match &mut raster.samples {
        // The usual photo is not copied.
        RasterSamples::U8(bytes) if whole(255.0) => std::mem::take(bytes),
        RasterSamples::U16(words) if whole(65535.0) && nodata.is_none() => {
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

/// 16 bits to 8, rounded.
fn narrow(word: u16) -> u8 {
    ((u32::from(word) * 255 + 32_767) / 65_535) as u8
}

/// Samples between `levels` as numbers from 0 to `most`; what is no reading becomes 0.
fn scale_samples(
    samples: &RasterSamples,
    levels: Levels,
    nodata: Option<f32>,
    most: f32,
) -> Box<dyn Iterator<Item = f32> + '_> {
    let scale = most / (levels.high - levels.low);
    let place = move |value: f32| {
        let placed = (value - levels.low) * scale;
        let (first, last) = levels.valid_range;
        match (first..=last).contains(&value) && Some(value) != nodata {
            true => placed.clamp(0.0, most),
            false => 0.0,
        }
    };
    match samples {
        RasterSamples::U8(values) => Box::new(values.iter().map(move |&v| place(v.into()))),
        RasterSamples::U16(values) => Box::new(values.iter().map(move |&v| place(v.into()))),
        RasterSamples::F32(values) => Box::new(values.iter().map(move |&v| place(v))),
    }
}

/// Inks on white paper; without a colour profile this is all that can be said.
fn cmyk_to_rgb([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    [c, m, y].map(|ink| {
        let product = u32::from(255 - ink) * u32::from(255 - k);
        ((product + 127) / 255) as u8
    })
}

/// L*a*b* of ICC's 8-bit encoding (white point D50) to sRGB.
fn lab_to_srgb([l, a, b]: [u8; 3]) -> [u8; 3] {
    let y = (f32::from(l) / 255.0 * 100.0 + 16.0) / 116.0;
    let x = y + (f32::from(a) - 128.0) / 500.0;
    let z = y - (f32::from(b) - 128.0) / 200.0;
    let linear = |t: f32| match t > 6.0 / 29.0 {
        true => t * t * t,
        false => 3.0 * (6.0 / 29.0f32).powi(2) * (t - 4.0 / 29.0),
    };
    let (x, y, z) = (0.964_22 * linear(x), linear(y), 0.825_21 * linear(z));
    // From D50 to linear sRGB, Bradford-adapted.
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

/// Puts `background` behind what is not opaque.
fn composite(rgb: &mut [u8], alpha: &[u8], background: [u8; 3]) {
    for (pixel, &a) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(alpha) {
        let (over, under) = (u32::from(a), u32::from(255 - a));
        for (value, behind) in pixel.iter_mut().zip(background) {
            *value = ((u32::from(*value) * over + u32::from(behind) * under + 127) / 255) as u8;
        }
    }
}
