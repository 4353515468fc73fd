//! The geometry between a photo and the backbone's input: resized, then padded on all sides to whole patches
//! (`CenterPadding` of facebookresearch/dinov2), and the positions of the photo's pixels on the patch grid, by which
//! maps are resampled to the photo.
//!
//! Sizes are (width, height) in pixels; grids are rows and columns of patches. Size rules `fit:` and unpadding `cubic`
//! follow transformers' `DPTImageProcessor` for Depth Anything.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::input::PatchGrid;

/// An elongated photo may have as many patches as this many square photos of the same short side. Beyond that it is
/// made smaller, or a 3000x40 strip would need a hundred thousand tokens.
const MAX_SQUARES: usize = 4;

/// Precedes the side of [`SizeRule::Fit`] in text.
const FIT_PREFIX: &str = "fit:";

/// The rule for the size of the backbone's input, before padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeRule {
    /// The short side becomes this many pixels, and the aspect ratio is kept.
    ShortSide(u32),
    /// The side whose scale is nearest to 1 becomes this many pixels, and the aspect ratio is kept, as in transformers'
    /// processor of Depth Anything: the short side, for photos both of whose sides are at least that long.
    Fit(u32),
    /// No resizing.
    Native,
    /// Exactly this width and height; the aspect ratio is not kept.
    Exact {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
}

impl FromStr for SizeRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| {
            text.parse::<u32>()
                .ok()
                .filter(|side| (1..=16384).contains(side))
        };
        let rule = match text.split_once(['x', 'X']) {
            _ if text == "native" => Some(SizeRule::Native),
            _ if text.starts_with(FIT_PREFIX) => side(&text[FIT_PREFIX.len()..]).map(SizeRule::Fit),
            Some((w, h)) => side(w)
                .zip(side(h))
                .map(|(width, height)| SizeRule::Exact { width, height }),
            None => side(text).map(SizeRule::ShortSide),
        };
        rule.ok_or_else(|| {
            "expected the short side in pixels (518), 'native', WIDTHxHEIGHT (644x490), or the side that changes least \
             (fit:518); sides 1 to 16384"
                .into()
        })
    }
}

/// In the syntax that [`SizeRule::from_str`] parses.
impl fmt::Display for SizeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SizeRule::ShortSide(side) => write!(f, "{side}"),
            SizeRule::Fit(side) => write!(f, "{FIT_PREFIX}{side}"),
            SizeRule::Native => f.write_str("native"),
            SizeRule::Exact { width, height } => write!(f, "{width}x{height}"),
        }
    }
}

/// How the sides of the input become multiples of the patch size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Padding {
    /// The mean colour on all sides of the photo, as for the published models (`CenterPadding`).
    #[default]
    Center,
    /// No padding: with [`SizeRule::ShortSide`] and [`SizeRule::Fit`] the photo is resized to whole patches, which
    /// changes its aspect ratio by half a patch at most. No patch at the edges is half empty, which shows as stripes in
    /// maps. Other rules pad as [`Padding::Center`] does.
    None,
}

impl FromStr for Padding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "center" => Ok(Padding::Center),
            "none" => Ok(Padding::None),
            _ => Err(format!("expected the padding center or none, not {text:?}")),
        }
    }
}

/// How a map over the padded input is brought to the size of the photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unpad {
    /// The padding is cut off, and the rest resized bilinearly, so that every patch lies where it does in the photo.
    #[default]
    Crop,
    /// The whole map with its padding is resized to the photo's size, as in the published scripts: up to half a patch
    /// off at the edges.
    Squeeze,
    /// The padding is cut off, and the rest resized bicubically, as in transformers for Depth Anything; results are
    /// clamped to the range of the map.
    Cubic,
}

/// The mapping from a photo to the backbone's input and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Width and height of the upright photo.
    pub photo: (u32, u32),
    /// Width and height after resizing.
    pub resized: (u32, u32),
    /// Width and height after padding: multiples of the patch size.
    pub padded: (u32, u32),
    /// Columns of padding on the left, in pixels; the right has the rest.
    pub pad_left: u32,
    /// Rows of padding at the top, in pixels; the bottom has the rest.
    pub pad_top: u32,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Whether the photo was made smaller than its size rule says, because it would have had too many patches.
    pub reduced: bool,
    /// How maps are brought back to the photo.
    pub unpad: Unpad,
}

impl Geometry {
    /// The geometry of a photo of `photo` = (width, height) for patches of side `patch_size`, with [`Padding::Center`].
    /// An elongated photo is limited to as many patches as four squares of its short side.
    pub fn new(photo: (u32, u32), size: SizeRule, patch_size: usize) -> Self {
        Self::with_padding(photo, size, patch_size, Padding::Center)
    }

    /// As [`Geometry::new`], with another `padding`.
    pub fn with_padding(
        photo: (u32, u32),
        size: SizeRule,
        patch_size: usize,
        padding: Padding,
    ) -> Self {
        let most = match size {
            SizeRule::ShortSide(side) | SizeRule::Fit(side) => {
                MAX_SQUARES * (side as usize).div_ceil(patch_size).pow(2)
            }
            SizeRule::Native | SizeRule::Exact { .. } => usize::MAX,
        };
        Self::with_patch_limit(photo, size, patch_size, padding, most)
    }

    /// As [`Geometry::with_padding`], but with at most `most` patches, whatever the shape of the photo.
    pub fn with_patch_limit(
        photo: (u32, u32),
        size: SizeRule,
        patch_size: usize,
        padding: Padding,
        most: usize,
    ) -> Self {
        let (resized, reduced) = resized_size(photo, size, padding, patch_size as u64, most as u64);
        let pad = |side: u32| side.next_multiple_of(patch_size as u32) - side;
        Self {
            photo,
            resized,
            padded: (resized.0 + pad(resized.0), resized.1 + pad(resized.1)),
            pad_left: pad(resized.0) / 2,
            pad_top: pad(resized.1) / 2,
            patch_size,
            reduced,
            unpad: Unpad::Crop,
        }
    }

    /// The same geometry with another [`Unpad`] rule.
    pub fn with_unpad(self, unpad: Unpad) -> Self {
        Self { unpad, ..self }
    }

    /// The patch grid of the padded input.
    pub fn grid(&self) -> PatchGrid {
        let p = self.patch_size as u32;
        PatchGrid {
            rows: (self.padded.1 / p) as usize,
            cols: (self.padded.0 / p) as usize,
        }
    }

    /// For each column of the photo, the position of its centre on the grid, in patches from the grid's left edge:
    /// patch `i` covers `[i, i + 1)`.
    pub fn column_positions(&self) -> Vec<f32> {
        match self.unpad {
            Unpad::Crop | Unpad::Cubic => {
                positions_along(self.photo.0, self.resized.0, self.pad_left, self.patch_size)
            }
            Unpad::Squeeze => positions_along(self.photo.0, self.padded.0, 0, self.patch_size),
        }
    }

    /// For each row of the photo, the position of its centre on the grid, in patches from the top.
    pub fn row_positions(&self) -> Vec<f32> {
        match self.unpad {
            Unpad::Crop | Unpad::Cubic => {
                positions_along(self.photo.1, self.resized.1, self.pad_top, self.patch_size)
            }
            Unpad::Squeeze => positions_along(self.photo.1, self.padded.1, 0, self.patch_size),
        }
    }
}

/// Positions of the centres of `photo` pixels, in patches, after resizing to `resized` and padding in front by `pad`.
fn positions_along(photo: u32, resized: u32, pad: u32, patch_size: usize) -> Vec<f32> {
    let scale = f64::from(resized) / f64::from(photo);
    (0..photo)
        .map(|i| (((f64::from(i) + 0.5) * scale + f64::from(pad)) / patch_size as f64) as f32)
        .collect()
}

/// The size of a photo after resizing by `size` to at most `most` patches of side `p`, and whether that limit made it
/// smaller.
fn resized_size(
    (width, height): (u32, u32),
    size: SizeRule,
    padding: Padding,
    p: u64,
    most: u64,
) -> ((u32, u32), bool) {
    let (mut across, mut down) = match size {
        SizeRule::Native => (1.0, 1.0),
        SizeRule::Exact {
            width: w,
            height: h,
        } => (
            f64::from(w) / f64::from(width),
            f64::from(h) / f64::from(height),
        ),
        SizeRule::ShortSide(side) => {
            let scale = f64::from(side) / f64::from(width.min(height));
            (scale, scale)
        }
        SizeRule::Fit(side) => {
            let [across, down] = [width, height].map(|own| f64::from(side) / f64::from(own));
            let scale = match (1.0 - across).abs() < (1.0 - down).abs() {
                true => across,
                false => down,
            };
            (scale, scale)
        }
    };
    // Sides are multiples of this.
    let unit = match (padding, size) {
        (Padding::None, SizeRule::ShortSide(_) | SizeRule::Fit(_)) => p as f64,
        _ => 1.0,
    };
    let mut reduced = false;
    loop {
        let one = |v: u32, scale: f64| {
            let units = f64::from(v) * scale / unit;
            let units = match size {
                // As Python's `round`.
                SizeRule::Fit(_) => units.round_ties_even(),
                _ => units.round(),
            };
            (units.max(1.0) * unit) as u32
        };
        let (w, h) = (one(width, across), one(height, down));
        if u64::from(w).div_ceil(p) * u64::from(h).div_ceil(p) <= most {
            return ((w, h), reduced);
        }
        reduced = true;
        across *= 0.99;
        down *= 0.99;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn center_padding_of_the_specs_example() {
        let geometry = Geometry::new((640, 480), SizeRule::Native, 14);
        assert_eq!(geometry.padded, (644, 490));
        assert_eq!((geometry.pad_left, geometry.pad_top), (2, 5));
        assert_eq!(geometry.grid(), PatchGrid { rows: 35, cols: 46 });
    }

    #[test]
    fn the_short_side_keeps_the_aspect() {
        let geometry = Geometry::new((640, 480), SizeRule::ShortSide(518), 14);
        assert_eq!(geometry.resized, (691, 518));
        assert!(!geometry.reduced);
    }

    #[test]
    fn without_padding_sides_are_whole_patches() {
        for photo in [(640, 480), (853, 1280), (40, 3000), (1, 1)] {
            let size = SizeRule::ShortSide(518);
            let geometry = Geometry::with_padding(photo, size, 14, Padding::None);
            assert_eq!(geometry.resized, geometry.padded);
            assert_eq!((geometry.pad_left, geometry.pad_top), (0, 0));
        }
        let exact = SizeRule::Exact {
            width: 100,
            height: 90,
        };
        let geometry = Geometry::with_padding((640, 480), exact, 14, Padding::None);
        assert_eq!(geometry.resized, (100, 90), "what was asked for");
        assert!("left".parse::<Padding>().is_err());
    }

    #[test]
    fn sizes_are_those_of_transformers_processor() {
        // get_resize_output_image_size of transformers 5.24 for (518, 518) and 14, as (width, height).
        for (photo, expected) in [
            ((640, 480), (686, 518)),
            ((640, 400), (518, 322)),
            ((4000, 3000), (686, 518)),
            ((3000, 4000), (518, 686)),
            ((451, 300), (518, 350)),
            ((518, 518), (518, 518)),
            // Half a patch too many: to the even number of them.
            ((77, 74), (518, 504)),
            ((1540, 1480), (532, 518)),
            ((1000, 200), (518, 98)),
        ] {
            let geometry = Geometry::with_padding(photo, SizeRule::Fit(518), 14, Padding::None);
            assert_eq!(geometry.resized, expected, "{photo:?}");
            assert_eq!(geometry.padded, expected);
        }
    }

    #[test]
    fn elongated_photos_are_bounded() {
        for photo in [(3000, 40), (40, 3000), (100_000, 1)] {
            let geometry = Geometry::new(photo, SizeRule::ShortSide(518), 14);
            assert!(geometry.reduced);
            assert!(geometry.grid().len() <= 4 * 37 * 37, "{geometry:?}");
        }
        assert!(!Geometry::new((2072, 518), SizeRule::ShortSide(518), 14).reduced);
        let native =
            Geometry::with_patch_limit((4000, 3000), SizeRule::Native, 14, Padding::Center, 1000);
        assert!(native.reduced && (900..=1000).contains(&native.grid().len()));
        let (width, height) = native.resized;
        assert!((f64::from(width) / f64::from(height) - 4.0 / 3.0).abs() < 0.01);
    }

    #[test]
    fn every_photo_pixel_falls_on_the_grid() {
        for photo in [(1, 1), (640, 480), (13, 15), (3000, 40)] {
            let geometry = Geometry::new(photo, SizeRule::ShortSide(70), 14);
            let grid = geometry.grid();
            assert!(
                geometry
                    .column_positions()
                    .iter()
                    .all(|&x| x > 0.0 && x < grid.cols as f32)
            );
            assert!(
                geometry
                    .row_positions()
                    .iter()
                    .all(|&y| y > 0.0 && y < grid.rows as f32)
            );
        }
    }

    #[test]
    fn sizes_parse_or_say_what_is_allowed() {
        assert_eq!("518".parse(), Ok(SizeRule::ShortSide(518)));
        assert_eq!("native".parse(), Ok(SizeRule::Native));
        assert_eq!("fit:518".parse(), Ok(SizeRule::Fit(518)));
        assert_eq!(SizeRule::Fit(518).to_string(), "fit:518");
        assert_eq!(
            "644x490".parse(),
            Ok(SizeRule::Exact {
                width: 644,
                height: 490
            })
        );
        for bad in ["", "0", "-3", "10x", "big", "99999999999", "fit:", "fit:0"] {
            assert!(
                bad.parse::<SizeRule>().unwrap_err().contains("native"),
                "{bad}"
            );
        }
    }
}
