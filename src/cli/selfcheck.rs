//! Options of `dino selfcheck`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::RunArgs;

/// Compute known numbers of installed models and heads, and compare
///
/// Tells whether this build, on this device, gives what the models' publishers and PyTorch give. Models and heads
/// without known numbers are not listed; they are computed in f32 unless --dtype says otherwise. A GPU is compared
/// with the CPU, too, by small networks with random weights. Exit code 1 if any is off.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct SelfcheckArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// The publisher's example photo, which the numbers of nyu-dpt-vits14 are of [default: fetched]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub example: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  dino selfcheck
  dino selfcheck --device cuda --dtype bf16";
