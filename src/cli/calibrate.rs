//! Options of `dino calibrate depth` and `remove`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::{DepthLabelArgs, EvalInputArgs};

/// Fit a head's depths to your camera and place
///
/// One number (or two, of relative depth) is fitted to photos whose depth is known, and kept in a small file beside the
/// head, from where every command that reads depths with it takes it: `dino heads info` shows it.
#[derive(Debug, Subcommand)]
pub enum CalibrateCommand {
    Depth(Box<CalibrateDepthArgs>),
    /// Forget what was fitted: the head's depths are as they were
    #[command(after_help = "Example:\n  dino calibrate remove indoor")]
    Remove {
        /// The head: a name, or a .safetensors file
        #[arg(required = true, value_name = "HEAD")]
        heads: Vec<OsString>,
    },
}

/// Fit a scale (and a shift, of relative depth) to photos with depth
///
/// The fit is of logarithms, each photo counting alike, and judged on parts of the photos that it did not see (runs of up to
/// 16 neighbours of the sorted list, as frames next to each other show one place). It is kept only if the error of those
/// falls by 1 % at least, also below that of one distance for everything, and not above that of a calibration that is in
/// force. Photos and depth maps are found as by `dino train depth`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct CalibrateDepthArgs {
    #[command(flatten)]
    pub input: EvalInputArgs,
    #[command(flatten)]
    pub labels: DepthLabelArgs,
    /// Parts that the photos are cut into, each held out once
    #[arg(long, default_value = "5", value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100))]
    pub folds: u32,
    /// Say what comes out, and keep nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write all figures as JSON, or - for stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// Replace the file of --json, if it is there already
    #[arg(long, help_heading = "Output")]
    pub force: bool,
}

const EXAMPLES: &str = "\
Examples:
  dino calibrate depth frames/ --head indoor
  dino calibrate depth frames/ --head da2-small --max-depth 40
  dino calibrate depth frames/ --head indoor --dry-run --json -";
