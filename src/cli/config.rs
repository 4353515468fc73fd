//! Options of `dino config`.

use clap::Args;

/// The keys of `dino config`: tasks whose head can be set, and the backbone.
pub const KEYS: [&str; 4] = ["depth", "segment", "classify", "model"];

/// Show or set what a bare command uses
///
/// Without arguments: the head of each task and the backbone of the rest, and why it is those. With a task and a head, or
/// with `model` and a backbone, that is used from now on where the command line names none; --unset goes back to the rule:
/// the best of Meta's that is installed, else what is inside the program. All of it is in one file, config.json in the
/// store's folder (DINO_HOME): {"heads": {"depth": NAME, "segment": NAME, "classify": NAME}, "model": NAME, "avoid": [NAME]}.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ConfigArgs {
    /// depth, segment, classify, or model for what needs no head
    #[arg(value_parser = KEYS)]
    pub key: Option<String>,
    /// The head's or the backbone's name
    #[arg(requires = "key")]
    pub name: Option<String>,
    /// Forget what was set
    #[arg(long, requires = "key", conflicts_with = "name")]
    pub unset: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with_all = ["name", "unset"])]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  dino config
  dino config depth nyu-dpt-vitb14
  dino config depth --unset
  dino config model vitb14";
