//! Options of `dino classify`.

use std::ffi::OsString;
use std::num::NonZeroUsize;

use clap::Args;

use super::{InputArgs, RunArgs};

/// Say what photos show: the most likely of ImageNet's 1000 classes
///
/// The published linear classifiers look at the middle of a photo (short side 256, then a square of 224, as in the
/// paper). `dino heads pull imagenet-linear` fetches one.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct ClassifyArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub run: RunArgs,
    /// The head: a name (`dino heads list`) or a .safetensors file [default: the best for the task]
    #[arg(long, value_name = "HEAD", help_heading = "Model")]
    pub head: Option<OsString>,
    /// How many classes a photo gets
    #[arg(long, default_value = "5", value_name = "N", help_heading = "Output")]
    pub top: NonZeroUsize,
    /// Print one JSON object a photo instead of a line
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  dino classify photo.jpg
  dino classify holiday/ --top 1 --json | jq -r '[.input, .classes[0].name] | @tsv'";
