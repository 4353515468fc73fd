//! What a pixel's samples are (tags 262 and 338), and which of them are shown.
//!
//! Opacity is what Pillow takes for it: a sample that the file calls alpha, or the fourth of an RGB pixel of which the
//! file says nothing at all. A sample "of no specified meaning" is a band, such as near infrared.

use super::compression::Compression;
use super::directory::Directory;
use super::lab::LabEncoding;
use super::layout::{Chunk, Layout};
use super::palette::Palette;
use super::ycbcr::YCbCr;
use super::{jpeg, tags};
use crate::io::inputs::raster::{Alpha, Colour};

pub(super) const WHITE_IS_ZERO: u16 = 0;
pub(super) const BLACK_IS_ZERO: u16 = 1;
pub(super) const RGB: u16 = 2;
const PALETTE: u16 = 3;
const MASK: u16 = 4;
const SEPARATED: u16 = 5;
pub(super) const YCBCR: u16 = 6;
const CIE_LAB: u16 = 8;
const ICC_LAB: u16 = 9;
const ITU_LAB: u16 = 10;

/// Which stored samples are shown, and as what.
#[derive(Debug)]
pub(super) struct Choice {
    /// The stored sample of each channel, from 0, opacity last.
    pub samples: Vec<u16>,
    /// What the channels are, once converted.
    pub colour: Colour,
    /// Whether the last one is opacity.
    pub alpha: Alpha,
    /// What has to be done to them.
    pub conversion: Conversion,
    /// Of the converted colours, the channels to show, from 0.
    pub channels: Option<[u16; 3]>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// From samples as stored to those of a raster.
#[derive(Debug)]
pub(super) enum Conversion {
    /// They are alike.
    None,
    /// 0 is white.
    Invert,
    /// They are places in a list of colours.
    Palette(Palette),
    /// Luma and chroma.
    YCbCr(YCbCr),
    /// L*a*b*.
    Lab(LabEncoding),
}

impl Choice {
    /// Chooses by what the file says, and `bands` (from 1) where the user names them.
    ///
    /// # Errors
    /// Names the kind of colours that cannot be shown, or a band that is not there.
    pub fn of(
        directory: &Directory,
        layout: &Layout,
        bands: Option<[u16; 3]>,
    ) -> Result<Self, String> {
        let opacity = Opacity::of(layout);
        match layout.photometric {
            RGB if is_jfif(directory, layout) => {
                Choice::converted(layout, opacity, Conversion::YCbCr(YCbCr::default()), bands)
            }
            WHITE_IS_ZERO | BLACK_IS_ZERO | MASK | RGB => Choice::plain(layout, opacity, bands),
            PALETTE => {
                let palette = Palette::read(directory, layout.sample)?;
                Choice::converted(layout, opacity, Conversion::Palette(palette), bands)
            }
            YCBCR => {
                let ycbcr = YCbCr::read(directory, layout)?;
                Choice::converted(layout, opacity, Conversion::YCbCr(ycbcr), bands)
            }
            SEPARATED | CIE_LAB | ICC_LAB | ITU_LAB if bands.is_some() => {
                Choice::plain(layout, opacity, bands)
            }
            SEPARATED => {
                if layout.samples < 4 || directory.integer(tags::INK_SET)? == Some(2) {
                    return Err(format!(
                        "this TIFF has {} inks that are not cyan, magenta, yellow and black, which is not supported; \
                         convert it to RGB first, or name three of them with --bands",
                        layout.samples
                    ));
                }
                Choice::stored(layout, opacity, Colour::Cmyk, Conversion::None)
            }
            CIE_LAB | ICC_LAB | ITU_LAB => {
                let encoding = LabEncoding::read(directory, layout)?;
                Choice::stored(layout, opacity, Colour::Lab, Conversion::Lab(encoding))
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

    /// Samples that are shown as they are.
    fn plain(
        layout: &Layout,
        opacity: Option<Opacity>,
        bands: Option<[u16; 3]>,
    ) -> Result<Self, String> {
        let all = layout.samples;
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
        // A band that is looked at is no opacity.
        let opacity = opacity.filter(|opacity| !colours.contains(&opacity.sample));
        if let Some(Opacity { guessed: true, .. }) = opacity {
            notes.push(
                "has a fourth sample that it does not explain; it is taken for opacity".into(),
            );
        }
        let colour = if colours.len() == 1 {
            Colour::Grey
        } else {
            Colour::Rgb
        };
        let conversion = match layout.photometric {
            WHITE_IS_ZERO => Conversion::Invert,
            _ => Conversion::None,
        };
        Ok(Choice::with(colours, opacity, colour, conversion, notes))
    }

    /// The first samples of a pixel, which are `colour` once converted.
    fn stored(
        layout: &Layout,
        opacity: Option<Opacity>,
        colour: Colour,
        conversion: Conversion,
    ) -> Result<Self, String> {
        let stored = match conversion {
            Conversion::Palette(_) => 1,
            _ => colour.channels() as u16,
        };
        if layout.samples < stored {
            return Err(format!(
                "damaged TIFF: its pixels have {} samples, fewer than their colours need",
                layout.samples
            ));
        }
        let shown = stored + u16::from(opacity.is_some());
        let mut notes = Vec::new();
        if layout.samples > shown {
            notes.push(format!(
                "has {} samples a pixel; those beyond its colours are not shown; --bands names them",
                layout.samples
            ));
        }
        Ok(Choice::with(
            (0..stored).collect(),
            opacity,
            colour,
            conversion,
            notes,
        ))
    }

    /// Samples that become red, green and blue, of which `bands` may name some.
    fn converted(
        layout: &Layout,
        opacity: Option<Opacity>,
        conversion: Conversion,
        bands: Option<[u16; 3]>,
    ) -> Result<Self, String> {
        let mut choice = Choice::stored(layout, opacity, Colour::Rgb, conversion)?;
        if let Some(named) = bands {
            check_bands(named, 3)?;
            choice.channels = Some(named.map(|band| band - 1));
        }
        Ok(choice)
    }

    fn with(
        mut samples: Vec<u16>,
        opacity: Option<Opacity>,
        colour: Colour,
        conversion: Conversion,
        notes: Vec<String>,
    ) -> Self {
        samples.extend(opacity.map(|opacity| opacity.sample));
        Choice {
            samples,
            colour,
            alpha: opacity.map_or(Alpha::None, |opacity| opacity.alpha),
            conversion,
            channels: None,
            notes,
        }
    }
}

fn check_bands(named: [u16; 3], held: u16) -> Result<(), String> {
    match named.iter().find(|&&band| band == 0 || band > held) {
        None => Ok(()),
        Some(band) => Err(format!("has no band {band}: it has {held} (see --bands)")),
    }
}

/// Which sample says how opaque a pixel is.
#[derive(Debug, Clone, Copy)]
struct Opacity {
    sample: u16,
    alpha: Alpha,
    /// Whether the file says nothing of it.
    guessed: bool,
}

impl Opacity {
    fn of(layout: &Layout) -> Option<Self> {
        let kinds = &layout.extra;
        if kinds.is_empty() && layout.photometric == RGB && layout.samples == 4 {
            return Some(Opacity {
                sample: 3,
                alpha: Alpha::Straight,
                guessed: true,
            });
        }
        let first = usize::from(layout.samples)
            .checked_sub(kinds.len())
            .filter(|&first| first > 0)?;
        let (index, alpha) = kinds
            .iter()
            .enumerate()
            .find_map(|(index, kind)| match kind {
                1 => Some((index, Alpha::Premultiplied)),
                // 999 is CorelDraw's.
                2 | 999 => Some((index, Alpha::Straight)),
                _ => None,
            })?;
        Some(Opacity {
            sample: (first + index) as u16,
            alpha,
            guessed: false,
        })
    }
}

/// Whether chunks are JFIF files of three components: those are YCbCr, though some writers call them RGB.
fn is_jfif(directory: &Directory, layout: &Layout) -> bool {
    let first = || layout.chunk(directory, 0, 0);
    layout.compression == Compression::Jpeg
        && layout.samples == 3
        && !layout.planar
        && matches!(first(), Ok(Chunk::Here { packed, .. }) if jpeg::is_jfif(packed))
}
