//! Options of the commands of `dino manifest`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::InputArgs;

/// See, check and join the records of output folders: what was made of which photo, and what failed
///
/// Every run notes in manifest.jsonl in its output folder what it makes, from what, and how; runs of --shard K/N each in
/// a file of their own, manifest-K-of-N.jsonl.
#[derive(Debug, Subcommand)]
pub enum ManifestCommand {
    /// Put the records of all shards, and of other folders, in manifest.jsonl
    ///
    /// The files of the shards are removed when their lines are in it. Nothing that writes to the folder may be running.
    /// Outputs of other folders stay where they are, and are known by where they lie; those that were moved into the
    /// folder meanwhile, under the same names, are known there. Other folders keep their records.
    #[command(after_help = MERGE_EXAMPLES)]
    Merge {
        /// The output folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// Other output folders, or their files
        #[arg(value_name = "OTHER", value_hint = ValueHint::AnyPath)]
        others: Vec<PathBuf>,
    },
    /// Read all outputs that are done, and say which are not what was made
    ///
    /// Exit code: 0 if all are unchanged, 1 if any was changed, cannot be read or is gone.
    #[command(
        after_help = "Examples:\n  dino manifest verify dino-out\n  dino manifest verify dino-out --json | jq -r 'select(.status == \"missing\") | .output'"
    )]
    Verify {
        /// The output folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// Print one JSON object an output that is not unchanged, then a summary
        #[arg(long)]
        json: bool,
    },
    Missing(Box<MissingArgs>),
    /// Sum the failures that nothing was made since of by what kind they are
    ///
    /// The kinds: missing, unreadable, not an image, unsupported, decode (a damaged file), too large (--max-megapixels),
    /// memory, program (one that reads photos is not there), option (such as --page), changed (while the run was under
    /// way), output (it could not be written, or something was there), device, model, network, other. Exit code: 0
    /// whether there are any or not.
    #[command(
        after_help = "Examples:\n  dino manifest errors dino-out\n  dino manifest errors dino-out --json | jq -r '[.kind, .count] | @tsv'"
    )]
    Errors {
        /// The output folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// Print one JSON object a kind
        #[arg(long)]
        json: bool,
    },
}

/// List photos that an output folder has nothing of yet
///
/// A photo is missing if nothing is noted as done of it, if what was done is not there any more, or if the photo was
/// changed since; for any of the tasks that the folder knows, or of those that are named. Name the photos as the run
/// does. Exit code: 0 whether there are any or not.
#[derive(Debug, Args)]
#[command(after_help = MISSING_EXAMPLES, args_override_self = true)]
pub struct MissingArgs {
    /// The output folder
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,
    #[command(flatten)]
    pub input: InputArgs,
    /// Only this task, as it is called in the names of its files, such as depth or segment-street; may be given often
    #[arg(long, value_name = "TASK", help_heading = "Output", action = clap::ArgAction::Append)]
    pub task: Vec<String>,
    /// Leave out photos that failed for their own sake: damaged ones, and files that are no images
    #[arg(long, help_heading = "Output")]
    pub but_broken: bool,
    /// End names with a zero byte in place of a new line
    #[arg(long, help_heading = "Output", conflicts_with_all = ["shards", "slurm"])]
    pub print0: bool,
    /// Print the shards of N that lack any, such as 1,3,5-9
    #[arg(long, value_name = "N", help_heading = "Output", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "shard")]
    pub shards: Option<u32>,
    /// Print them as sbatch takes them, such as --array=1,3,5-9; nothing if none is missing
    #[arg(long, value_name = "N", help_heading = "Output", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["shards", "shard"])]
    pub slurm: Option<u32>,
}

const MERGE_EXAMPLES: &str = "\
Examples:
  dino manifest merge dino-out                 the records of its shards
  dino manifest merge all/ monday/ tuesday/    what is known of outputs in three folders";

const MISSING_EXAMPLES: &str = "\
Examples:
  dino manifest missing dino-out -r photos/
  dino manifest missing dino-out -r photos/ --task depth -0 | xargs -0 dino depth
  sbatch $(dino manifest missing dino-out -r photos/ --slurm 100) job.sh    # job.sh has --shard auto/100";
