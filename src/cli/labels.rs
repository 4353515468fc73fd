//! Options of labels that training, evaluation and calibration share.

use clap::{Args, ValueEnum};
use dino::learn::data::checks::IgnoredId;
use dino::learn::eval::Crop;

use super::values::positive;

/// What is done about labels of another shape than their photo's.
#[derive(Debug, Args)]
pub struct LabelShapeArgs {
    /// Lay labels over their photos even where both have different shapes
    #[arg(long, help_heading = "Labels")]
    pub stretch_labels: bool,
}

/// What depth labels mean and which of them count.
#[derive(Debug, Args)]
#[command(next_help_heading = "Labels")]
pub struct DepthLabelArgs {
    /// Units of a metre in depth maps of whole numbers: 1000 for millimetres, 256 for KITTI, 5000 for TUM; 0 is no
    /// reading, and floats are metres [default: what a file of dino's own says, 256 for KITTI as it is unpacked, else 1000]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub depth_scale: Option<f64>,
    /// Readings below this many metres do not count
    #[arg(long, default_value = "0.001", value_name = "M", value_parser = positive)]
    pub min_depth: f64,
    /// Readings above this many metres do not count
    #[arg(long, default_value = "10", value_name = "M", value_parser = positive)]
    pub max_depth: f64,
    /// The part of a frame that is judged, as a share of its full size: eigen (NYU) or garg (KITTI)
    #[arg(long, value_enum, default_value = "none", value_name = "CROP")]
    pub crop: CropChoice,
}

/// Values of `--crop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CropChoice {
    /// All of it
    None,
    /// Rows 45 to 471, columns 41 to 601 of 480x640
    Eigen,
    /// Rows 153 to 371, columns 44 to 1197 of 375x1242
    Garg,
}

impl From<CropChoice> for Crop {
    fn from(choice: CropChoice) -> Self {
        match choice {
            CropChoice::None => Crop::None,
            CropChoice::Eigen => Crop::Eigen,
            CropChoice::Garg => Crop::Garg,
        }
    }
}

/// Which pixels of masks have no class, of training and evaluation.
#[derive(Debug, Args)]
pub struct IgnoreArgs {
    /// The id of pixels without a class, or none [default: 255, but in masks of 0 and 255 for two classes the second]
    #[arg(long, value_name = "ID", help_heading = "Labels")]
    pub ignore: Option<IgnoreChoice>,
}

/// The value of `--ignore`: an id, or none where all ids are classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IgnoreChoice(Option<u16>);

impl IgnoreArgs {
    /// The id that is ignored; without the option [`IgnoredId::default`].
    pub fn ignored_id(&self) -> IgnoredId {
        let choice = self.ignore;
        choice.map_or(IgnoredId::default(), |IgnoreChoice(id)| IgnoredId {
            id,
            is_explicit: true,
        })
    }
}

impl std::str::FromStr for IgnoreChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(IgnoreChoice(None));
        }
        let id = text.trim().parse();
        id.map(|id| IgnoreChoice(Some(id)))
            .map_err(|_| "expected an id from 0 to 65535, or none".to_owned())
    }
}
