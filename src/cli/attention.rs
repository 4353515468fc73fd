//! Options of `dino attention`: photos, size and block, and how the map of attention is drawn.

use clap::Args;

use super::{InputArgs, OutputArgs, PatchMapArgs, RunArgs, SizeArgs};

/// See what the backbone itself looks at: the attention of its cls token
///
/// The picture shows how much each patch is attended to, averaged over heads, in multiples of an even share (×1: as if
/// all tokens were attended to alike); colours span 0 to the 99th percentile of the patches. The weights are the softmax
/// over all tokens, as in DINO's figures.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AttentionArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub size: SizeArgs,
    /// Block whose attention is shown, from 0; -1 is the last
    #[arg(
        long,
        default_value = "-1",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Model"
    )]
    pub layer: i64,
    #[command(flatten)]
    pub look: PatchMapArgs,
    /// Draw every head too, on one sheet: NAME.attention.heads.png, each with colours and a range of its own
    #[arg(long, help_heading = "Picture")]
    pub heads: bool,
    /// Write the weights as NAME.attention.npy too: float32 [heads, rows, columns], one a patch; what they lack to 1
    /// went to the cls token and the registers
    #[arg(long, help_heading = "Picture")]
    pub raw: bool,
}

const EXAMPLES: &str = "\
Examples:
  dino attention photo.jpg --side-by-side     dino-out/photo.attention.png
  dino attention -r holiday/ --heads --raw    a sheet of all heads and the numbers of each photo
  dino attention photo.jpg --layer 5 --overlay 0.6";
