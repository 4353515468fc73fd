//! `dino pca`.

use clap::Args;

use super::{InputArgs, OutputArgs, RunArgs};

/// Colour the parts of photos by the principal components of their patch features
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dino pca photo.jpg")]
pub struct PcaArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub run: RunArgs,
}
