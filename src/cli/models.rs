//! `dino models`.

use clap::Subcommand;

/// Install, list and remove backbones
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the backbones
    #[command(after_help = "Example:\n  dino models list")]
    List,
}
