//! Options of `dino train depth`: the depth bins, and the weights of the losses.

use clap::{Args, ValueEnum};
use dino::model::head::meta::Spacing;

use super::common::TrainArgs;
use crate::cli::DepthLabelArgs;
use crate::cli::values::{number, share, weight};

/// Learn metres from photos and depth maps
///
/// Depth maps are floats in metres (NPY, NPZ, PFM, EXR, TIFF, Sintel's .dpt), or whole numbers of 16 bits or more (PNG,
/// TIFF, PGM, NPY) in units that --depth-scale tells. Whatever `dino depth --save` writes is read back.
#[derive(Debug, Args)]
#[command(after_help = DEPTH_EXAMPLES, args_override_self = true)]
pub struct TrainDepthArgs {
    #[command(flatten)]
    pub common: TrainArgs,
    #[command(flatten)]
    pub labels: DepthLabelArgs,
    /// Number of depth bins
    #[arg(long, default_value = "256", value_name = "N", value_parser = clap::value_parser!(u16).range(2..=4096), help_heading = "Depth")]
    pub bins: u16,
    /// How the bins are spaced
    #[arg(
        long,
        value_enum,
        default_value = "log",
        value_name = "HOW",
        help_heading = "Depth"
    )]
    pub spacing: SpacingChoice,
    /// First and last bin, in metres
    #[arg(long, default_value = "0.5,10", value_name = "A,B", value_parser = range, help_heading = "Depth")]
    pub range: (f64, f64),
    /// How much of the mean logarithmic error the loss forgives: 0 none, 1 all
    #[arg(
        long,
        default_value = "0.85",
        value_name = "L",
        value_parser = share,
        help_heading = "Depth"
    )]
    pub lambda: f64,
    /// Weight of the gradient loss, which keeps edges where they are
    #[arg(
        long,
        default_value = "0.5",
        value_name = "W",
        value_parser = weight,
        help_heading = "Depth"
    )]
    pub gradient: f64,
    /// Weight of the absolute error in metres
    #[arg(
        long,
        default_value = "0.12",
        value_name = "W",
        value_parser = weight,
        help_heading = "Depth"
    )]
    pub absolute: f64,
    /// Weight of a cross-entropy over the bins
    #[arg(
        long,
        default_value = "0",
        value_name = "W",
        value_parser = weight,
        help_heading = "Depth"
    )]
    pub bin_loss: f64,
}

/// Values of `--spacing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpacingChoice {
    /// Equal ratios
    Log,
    /// Equal differences
    Linear,
}

impl From<SpacingChoice> for Spacing {
    fn from(choice: SpacingChoice) -> Self {
        match choice {
            SpacingChoice::Log => Spacing::Log,
            SpacingChoice::Linear => Spacing::Linear,
        }
    }
}

const DEPTH_EXAMPLES: &str = "\
Examples:
  dino train depth frames/ -o my.safetensors
  dino train depth nyu/ --crop eigen --flip --epochs 20 -o indoor.safetensors
  dino depth photo.jpg --head my.safetensors";

fn range(text: &str) -> Result<(f64, f64), String> {
    text.split_once(',')
        .and_then(|(a, b)| Some((number(a)?, number(b)?)))
        .filter(|(a, b)| *a > 0.0 && a < b)
        .ok_or_else(|| "expected two rising numbers above 0, such as 0.5,10".into())
}
