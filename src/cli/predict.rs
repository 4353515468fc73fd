//! What the commands that run a head have in common.

use clap::{Args, ValueEnum};
use dino::preprocess::SizeRule;

use super::{InputArgs, OutputArgs, RunArgs};

/// Photos in, a head over them, files out.
#[derive(Debug, Args)]
pub struct PredictArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub run: RunArgs,
    /// The head: a name (`dino heads list`) or a .safetensors file [default: the best for the task]
    #[arg(long, value_name = "HEAD", help_heading = "Model")]
    pub head: Option<String>,
    /// What the backbone sees: the short side in pixels, native, or WIDTHxHEIGHT [default: what the head was trained for]
    #[arg(long, value_name = "SIZE", help_heading = "Model")]
    pub size: Option<SizeRule>,
    /// Average with the mirrored photo: a little better, half as fast
    #[arg(
        long,
        value_enum,
        default_value = "none",
        value_name = "HOW",
        help_heading = "Model"
    )]
    pub tta: Tta,
    /// Fit borders to the photo's own edges
    #[arg(long, overrides_with = "no_refine", help_heading = "Model")]
    pub refine: bool,
    /// Leave borders as the patches give them
    #[arg(long, overrides_with = "refine", help_heading = "Model")]
    pub no_refine: bool,
}

impl PredictArgs {
    /// Whether to fit borders to the photo: as asked, else the command's `default`.
    pub fn refines(&self, default: bool) -> bool {
        match (self.refine, self.no_refine) {
            (true, _) => true,
            (_, true) => false,
            _ => default,
        }
    }
}

/// Values of `--tta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tta {
    /// The photo alone
    None,
    /// The photo and its mirror image
    Flip,
}
