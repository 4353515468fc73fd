//! Options of `dino depth`.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::checks::{check_photo_view, check_range};
use super::{CloudRecipe, HeadRecipe, text};
use crate::io::output::FloatFormat;
use crate::vision::render::{Colormap, ValueRange};

/// The picture of depths, and their values in files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DepthRecipe {
    /// The head, and how photos go through it.
    #[serde(flatten)]
    pub head: HeadRecipe,
    /// The colormap; what is near gets its bright or warm end.
    pub colormap: Colormap,
    /// The depths that the colours span.
    #[serde(with = "text::value")]
    pub range: RangeRule,
    /// Whether what is far gets the bright or warm end.
    pub invert: bool,
    /// Whether the picture has no scale.
    pub no_scale: bool,
    /// Whether the photo lies beside the picture.
    pub side_by_side: bool,
    /// Opacity, from 0 to 1, of the colours over the photo; `None` for colours alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<f32>,
    /// A font file for the scale; the system's fonts by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub font: Option<PathBuf>,
    /// Formats of depths at the photo's size; none by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub save: Vec<DepthFileFormat>,
    /// Steps of a metre in 16-bit PNG and video, from 1 to 1 000 000; 1000 (millimetres) by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth_scale: Option<NonZeroU32>,
    /// The factor that makes metres of relative inverse depth, `1 / (scale * value + shift)`, or of a head's metres,
    /// `scale * value`; it replaces the head's calibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// The shift of relative inverse depth, in 1/m; 0 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift: Option<f64>,
    /// Whether the head's calibration is ignored, if it has one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_calibration: bool,
    /// Whether standard deviations are written in the same formats.
    pub uncertainty: bool,
    /// The point cloud, if one is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointcloud: Option<CloudRecipe>,
    /// Pixels (column, row) at which depths are printed; not kept in recipe files.
    #[serde(skip)]
    pub at: Vec<(u32, u32)>,
}

impl Default for DepthRecipe {
    fn default() -> Self {
        DepthRecipe {
            head: HeadRecipe::default(),
            colormap: Colormap::default(),
            range: RangeRule::Auto,
            invert: false,
            no_scale: false,
            side_by_side: false,
            overlay: None,
            font: None,
            save: Vec::new(),
            depth_scale: None,
            scale: None,
            shift: None,
            no_calibration: false,
            uncertainty: false,
            pointcloud: None,
            at: Vec::new(),
        }
    }
}

impl DepthRecipe {
    /// Refuses values outside their ranges, and settings that contradict each other.
    pub(super) fn check(&self) -> Result<(), String> {
        self.head.check()?;
        check_photo_view(self.side_by_side, self.overlay)?;
        check_range("overlay", self.overlay.unwrap_or(0.0), 0.0..=1.0)?;
        let steps = self.depth_scale.map_or(1, NonZeroU32::get);
        check_range("depth-scale", steps, 1..=1_000_000)?;
        check_range("scale", self.scale.unwrap_or(1.0), 1e-12..=1e12)?;
        check_range("shift", self.shift.unwrap_or(0.0), -1e12..=1e12)?;
        if self.shift.is_some() && self.scale.is_none() {
            return Err("shift is for relative depth that scale makes metres of; give both".into());
        }
        self.pointcloud.as_ref().map_or(Ok(()), CloudRecipe::check)
    }
}

/// The depths that the colours of a picture span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RangeRule {
    /// Percentiles of the photo's own depths.
    Auto,
    /// Percentiles of the depths of all photos, in a second pass.
    Global,
    /// The range of the head's bins.
    Head,
    /// The given range, in the head's unit or metres.
    Fixed(ValueRange),
}

impl FromStr for RangeRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(RangeRule::Auto),
            "global" => return Ok(RangeRule::Global),
            "head" => return Ok(RangeRule::Head),
            _ => {}
        }
        let number = |text: &str| text.trim().parse::<f32>().ok().filter(|v| v.is_finite());
        match text.split_once(',').map(|(a, b)| (number(a), number(b))) {
            Some((Some(low), Some(high))) if low < high => {
                Ok(RangeRule::Fixed(ValueRange { low, high }))
            }
            _ => Err("expected auto, global, head, or two rising numbers such as 0.5,6".into()),
        }
    }
}

/// The text that [`RangeRule::from_str`] reads.
impl fmt::Display for RangeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RangeRule::Auto => f.write_str("auto"),
            RangeRule::Global => f.write_str("global"),
            RangeRule::Head => f.write_str("head"),
            RangeRule::Fixed(ValueRange { low, high }) => write!(f, "{low},{high}"),
        }
    }
}

/// File formats of depths at the photo's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DepthFileFormat {
    /// NumPy, float32 `[height, width]`.
    Npy,
    /// 16-bit PNG in steps of a metre, by default millimetres.
    Png16,
    /// Portable float map.
    Pfm,
    /// OpenEXR, float32.
    Exr,
    /// TIFF, float32.
    Tiff,
    /// For clips, lossless FFV1 video of 16 bits in steps of a metre, by default millimetres.
    Ffv1,
}

impl DepthFileFormat {
    /// The format of a photo's file, with `scale` steps of a metre where it holds integers; `None` for video.
    pub fn to_float_format(self, scale: NonZeroU32) -> Option<FloatFormat> {
        match self {
            DepthFileFormat::Npy => Some(FloatFormat::Npy),
            DepthFileFormat::Png16 => Some(FloatFormat::Png16(scale)),
            DepthFileFormat::Pfm => Some(FloatFormat::Pfm),
            DepthFileFormat::Exr => Some(FloatFormat::Exr),
            DepthFileFormat::Tiff => Some(FloatFormat::Tiff),
            DepthFileFormat::Ffv1 => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_words_or_rising_numbers() {
        assert_eq!("global".parse(), Ok(RangeRule::Global));
        let fixed = RangeRule::Fixed(ValueRange {
            low: 0.5,
            high: 6.0,
        });
        assert_eq!("0.5,6".parse(), Ok(fixed));
        assert_eq!(fixed.to_string().parse(), Ok(fixed));
        for wrong in ["", "6,0.5", "1,1", "1", "a,b", "0,inf", "nan,2"] {
            assert!(wrong.parse::<RangeRule>().is_err(), "{wrong}");
        }
    }
}
