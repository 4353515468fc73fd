//! Selects the samples of a TIFF's pixels that become the colours of the raster, and their conversion, by the tags
//! PhotometricInterpretation (262) and ExtraSamples (338) and by `--bands`.
//!
//! As in Pillow, alpha is a sample that the file declares as such, or the fourth sample of an RGB pixel if the file
//! does not describe it. A sample of unspecified meaning is a band, such as near infrared.

use super::compression::Compression;
use super::directory::Ifd;
use super::lab::LabEncoding;
use super::layout::{ChunkData, TiffLayout};
use super::palette::Palette;
use super::photometric::{
    BLACK_IS_ZERO, CIE_LAB, ICC_LAB, ITU_LAB, MASK, PALETTE, RGB, SEPARATED, WHITE_IS_ZERO, YCBCR,
};
use super::ycbcr::YCbCr;
use super::{jpeg, tags};
use crate::io::inputs::raster::{Alpha, ColorModel};

/// The stored samples that become the channels of a raster, and their conversion.
#[derive(Debug)]
pub(super) struct BandSelection {
    /// The index of the stored sample of each channel, from 0, alpha last.
    pub samples: Vec<u16>,
    /// The colour model of the raster after conversion.
    pub colour: ColorModel,
    /// Whether the last channel is alpha.
    pub alpha: Alpha,
    /// The conversion from stored samples to the colour model.
    pub conversion: SampleConversion,
    /// The channels of the converted colours to keep, from 0; `None` for all.
    pub shown_channels: Option<[u16; 3]>,
    /// Warnings for the user, as sentences that follow the name of the file.
    pub notes: Vec<String>,
}

/// The conversion of stored samples to those of a raster.
#[derive(Debug)]
pub(super) enum SampleConversion {
    /// Stored samples are used as they are.
    None,
    /// 0 is white: values are subtracted from the white value.
    Invert,
    /// Samples are indices into a palette.
    Palette(Palette),
    /// Luma and chroma become red, green and blue.
    YCbCr(YCbCr),
    /// L*a*b* becomes the encoding of ICC.
    Lab(LabEncoding),
}

impl BandSelection {
    /// Selects the samples that the tags declare as colours, or the `bands` (from 1) that the user names.
    ///
    /// # Errors
    /// Names the kind of colours that cannot be shown, or a band that the file does not have.
    pub fn of(
        directory: &Ifd,
        layout: &TiffLayout,
        bands: Option<[u16; 3]>,
    ) -> Result<Self, String> {
        let opacity = AlphaSample::of(layout);
        match layout.photometric {
            RGB if is_jfif(directory, layout) => {
                BandSelection::converted(layout, opacity, SampleConversion::YCbCr(YCbCr::default()), bands)
            }
            WHITE_IS_ZERO | BLACK_IS_ZERO | MASK | RGB => BandSelection::plain(layout, opacity, bands),
            PALETTE => {
                let palette = Palette::read(directory, layout.sample)?;
                BandSelection::converted(layout, opacity, SampleConversion::Palette(palette), bands)
            }
            YCBCR => {
                let ycbcr = YCbCr::read(directory, layout)?;
                BandSelection::converted(layout, opacity, SampleConversion::YCbCr(ycbcr), bands)
            }
            SEPARATED | CIE_LAB | ICC_LAB | ITU_LAB if bands.is_some() => {
                BandSelection::plain(layout, opacity, bands)
            }
            SEPARATED => {
                if layout.samples_per_pixel < 4 || directory.integer(tags::INK_SET)? == Some(2) {
                    return Err(format!(
                        "this TIFF has {} inks that are not cyan, magenta, yellow and black, which is not supported; \
                         convert it to RGB first, or name three of them with --bands",
                        layout.samples_per_pixel
                    ));
                }
                BandSelection::stored(layout, opacity, ColorModel::Cmyk, SampleConversion::None)
            }
            CIE_LAB | ICC_LAB | ITU_LAB => {
                let encoding = LabEncoding::read(directory, layout)?;
                BandSelection::stored(layout, opacity, ColorModel::Lab, SampleConversion::Lab(encoding))
            }
            32844 | 32845 => Err(
                "this TIFF has LogLuv colours, which are not supported; convert it to RGB floats first"
                    .into(),
            ),
            other => Err(format!(
                "this TIFF has colours of kind {other} (tag 262), which are not supported; convert it to RGB first"
            )),
        }
    }

    /// The selection for samples that need no conversion, except that 0 may be white.
    fn plain(
        layout: &TiffLayout,
        opacity: Option<AlphaSample>,
        bands: Option<[u16; 3]>,
    ) -> Result<Self, String> {
        let all = layout.samples_per_pixel;
        let mut notes = Vec::new();
        let colours = match (bands, all - u16::from(opacity.is_some())) {
            (Some(named), _) => {
                check_bands(named, all)?;
                match named[0] == named[1] && named[1] == named[2] {
                    true => vec![named[0] - 1],
                    false => named.map(|band| band - 1).to_vec(),
                }
            }
            (None, 0 | 1) => vec![0],
            (None, 2) => {
                notes.push(format!(
                    "has {all} bands; the first is shown in grey; --bands names others"
                ));
                vec![0]
            }
            (None, 3) if layout.photometric != RGB => {
                notes.push("has 3 bands that it does not call colours; they are shown as red, green and blue".into());
                vec![0, 1, 2]
            }
            (None, 3) => vec![0, 1, 2],
            (None, _) => {
                notes.push(format!(
                    "has {all} bands; the first three are shown; --bands names others"
                ));
                vec![0, 1, 2]
            }
        };
        // A band that is used as a colour is not alpha.
        let opacity = opacity.filter(|opacity| !colours.contains(&opacity.sample));
        if let Some(AlphaSample {
            is_guessed: true, ..
        }) = opacity
        {
            notes.push(
                "has a fourth sample that it does not explain; it is taken for opacity".into(),
            );
        }
        let colour = if colours.len() == 1 {
            ColorModel::Grey
        } else {
            ColorModel::Rgb
        };
        let conversion = match layout.photometric {
            WHITE_IS_ZERO => SampleConversion::Invert,
            _ => SampleConversion::None,
        };
        Ok(BandSelection::with(
            colours, opacity, colour, conversion, notes,
        ))
    }

    /// The selection of the first samples of a pixel, which `conversion` turns into `colour`.
    fn stored(
        layout: &TiffLayout,
        opacity: Option<AlphaSample>,
        colour: ColorModel,
        conversion: SampleConversion,
    ) -> Result<Self, String> {
        let stored = match conversion {
            SampleConversion::Palette(_) => 1,
            _ => colour.channels() as u16,
        };
        if layout.samples_per_pixel < stored {
            return Err(format!(
                "damaged TIFF: its pixels have {} samples, fewer than their colours need",
                layout.samples_per_pixel
            ));
        }
        let shown = stored + u16::from(opacity.is_some());
        let mut notes = Vec::new();
        if layout.samples_per_pixel > shown {
            notes.push(format!(
                "has {} samples a pixel; those beyond its colours are not shown; --bands names them",
                layout.samples_per_pixel
            ));
        }
        Ok(BandSelection::with(
            (0..stored).collect(),
            opacity,
            colour,
            conversion,
            notes,
        ))
    }

    /// The selection for samples that `conversion` turns into red, green and blue, of which `bands` (1 to 3) may select
    /// some.
    fn converted(
        layout: &TiffLayout,
        opacity: Option<AlphaSample>,
        conversion: SampleConversion,
        bands: Option<[u16; 3]>,
    ) -> Result<Self, String> {
        let mut choice = BandSelection::stored(layout, opacity, ColorModel::Rgb, conversion)?;
        if let Some(named) = bands {
            check_bands(named, 3)?;
            choice.shown_channels = Some(named.map(|band| band - 1));
        }
        Ok(choice)
    }

    /// Builds a selection, with the alpha sample after the colours.
    fn with(
        mut samples: Vec<u16>,
        opacity: Option<AlphaSample>,
        colour: ColorModel,
        conversion: SampleConversion,
        notes: Vec<String>,
    ) -> Self {
        samples.extend(opacity.map(|opacity| opacity.sample));
        BandSelection {
            samples,
            colour,
            alpha: opacity.map_or(Alpha::None, |opacity| opacity.alpha),
            conversion,
            shown_channels: None,
            notes,
        }
    }
}

/// Checks that the named bands are among 1 to `count`.
fn check_bands(named: [u16; 3], count: u16) -> Result<(), String> {
    match named.iter().find(|&&band| band == 0 || band > count) {
        None => Ok(()),
        Some(band) => Err(format!("has no band {band}: it has {count} (see --bands)")),
    }
}

/// The sample that holds the opacity of a pixel.
#[derive(Debug, Clone, Copy)]
struct AlphaSample {
    /// Its index among the stored samples, from 0.
    sample: u16,
    alpha: Alpha,
    /// Whether it is assumed, since the file does not declare it.
    is_guessed: bool,
}

impl AlphaSample {
    /// The alpha sample that the file declares, or that is assumed; `None` without alpha.
    fn of(layout: &TiffLayout) -> Option<Self> {
        let kinds = &layout.extra_samples;
        if kinds.is_empty() && layout.photometric == RGB && layout.samples_per_pixel == 4 {
            return Some(AlphaSample {
                sample: 3,
                alpha: Alpha::Straight,
                is_guessed: true,
            });
        }
        let first = usize::from(layout.samples_per_pixel)
            .checked_sub(kinds.len())
            .filter(|&first| first > 0)?;
        let (index, alpha) = kinds
            .iter()
            .enumerate()
            .find_map(|(index, kind)| match kind {
                1 => Some((index, Alpha::Premultiplied)),
                // 999 is what CorelDraw writes.
                2 | 999 => Some((index, Alpha::Straight)),
                _ => None,
            })?;
        Some(AlphaSample {
            sample: (first + index) as u16,
            alpha,
            is_guessed: false,
        })
    }
}

/// Whether the chunks are JFIF files of three components, which are YCbCr even if the tags declare RGB.
fn is_jfif(directory: &Ifd, layout: &TiffLayout) -> bool {
    let first = || layout.chunk(directory, 0, 0);
    layout.compression == Compression::Jpeg
        && layout.samples_per_pixel == 3
        && !layout.is_planar
        && matches!(first(), Ok(ChunkData::Stored { packed, .. }) if jpeg::is_jfif(packed))
}
