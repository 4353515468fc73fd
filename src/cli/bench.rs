//! Options of `dino bench`: which backbones are timed, at which sizes, and how often.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use dino::model::input::SizeRule;

use super::RunArgs;

/// Measure how fast a backbone is on this machine
///
/// The network only: no decoding, no head, no pictures. A model that is not installed is measured with random weights,
/// which take the same time.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct BenchArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Several backbones, one after the other
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "A,B,…",
        conflicts_with = "model",
        help_heading = "Model"
    )]
    pub models: Vec<String>,
    /// Sizes of the photo: a number for a square of about that many pixels, or WIDTHxHEIGHT
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "518",
        value_name = "A,B,…",
        help_heading = "Measurement"
    )]
    pub size: Vec<SizeRule>,
    /// Timed runs, after one to warm up
    #[arg(
        long,
        default_value = "10",
        value_name = "N",
        help_heading = "Measurement"
    )]
    pub runs: NonZeroUsize,
    /// Write the figures to this file too, - for stdout instead of the table
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// Replace that file if it is there already
    #[arg(long, help_heading = "Output")]
    pub force: bool,
}

const EXAMPLES: &str = "\
Examples:
  dino bench
  dino bench --models vits14,vitb14,vitl14 --size 224,518
  dino bench --size 1036 --runs 5 --json - | jq .[0].median_ms";
