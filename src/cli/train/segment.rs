//! Options of `dino train segment`: classes or a taxonomy, and how rare classes are balanced.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::common::TrainArgs;
use crate::cli::IgnoreArgs;
use crate::cli::values::share;

/// Learn classes from photos and masks
///
/// Masks are ids (PNG, TIFF, GIF, BMP, PGM or WebP, grey or with a palette, NPY or NPZ), or in the colours that the class
/// list names. Black and VOC's border (224, 224, 192) are no class unless the list has them. Whatever `dino segment
/// --save ids` writes is read back.
#[derive(Debug, Args)]
#[command(after_help = SEGMENT_EXAMPLES, args_override_self = true)]
pub struct TrainSegmentArgs {
    #[command(flatten)]
    pub common: TrainArgs,
    /// The class list: JSON of names, or of {"name", "color"} [default: classes.json in DATA]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Labels")]
    pub classes: Option<PathBuf>,
    /// One taxonomy for several data sets, which lie in DATA; see heads/everyday.json
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "classes", help_heading = "Labels")]
    pub sets: Option<PathBuf>,
    #[command(flatten)]
    pub ignore: IgnoreArgs,
    /// How much rare classes are drawn more often: 0 not at all, 1 all classes alike
    #[arg(
        long,
        default_value = "0.5",
        value_name = "B",
        value_parser = share,
        help_heading = "Training"
    )]
    pub balance: f64,
    /// Spread this much of every target over all classes
    #[arg(
        long,
        default_value = "0",
        value_name = "S",
        value_parser = share,
        help_heading = "Training"
    )]
    pub smoothing: f64,
}

const SEGMENT_EXAMPLES: &str = "\
Examples:
  dino train segment camvid/ --classes classes.json -o street.safetensors
  dino train segment data/ --sets everyday.json -o everyday.safetensors
  dino segment photo.jpg --head street.safetensors";
