//! Options of `dino setup`.

use clap::{Args, ValueEnum};

use super::RunArgs;

/// Which of Meta's depth heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DepthHeadChoice {
    /// One linear layer on the last block.
    Linear,
    /// One linear layer on four blocks.
    Linear4,
    /// Convolutions on four blocks: the most exact, and half as fast.
    Dpt,
}

/// Fetch Meta's weights for depth, labels and PCA, and show what bare commands use
///
/// Fetches one backbone, its depth head (NYU) and its segmentation head (ADE20K) from their publisher, checks the known
/// numbers of those that have any, and shows what is installed. Transfers are resumed where they broke off;
/// DINO_HEADS_URL names a mirror.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct SetupArgs {
    /// The depth head
    #[arg(long, value_name = "KIND", default_value = "linear4")]
    pub depth: DepthHeadChoice,
    /// Do not ask before fetching more than 500 MB
    #[arg(short, long)]
    pub yes: bool,
    /// Fetch nothing: show what is installed and what bare commands use
    #[arg(long)]
    pub show: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

const EXAMPLES: &str = "\
Examples:
  dino setup
  dino setup --model vitb14 --depth dpt --yes
  dino setup --show";
