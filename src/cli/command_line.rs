//! The whole command line: the options of the program itself, and its commands.

use std::num::NonZeroUsize;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use dino::model::device::launcher::VERSION;

use super::short_help;
use super::{
    AttentionArgs, BenchArgs, CacheCommand, CalibrateCommand, ClassifyArgs, ConfigArgs, DepthArgs,
    EvalCommand, FeaturesArgs, HeadsCommand, ManifestCommand, ModelsCommand, PcaArgs, RunTasksArgs,
    SegmentArgs, SelfcheckArgs, SetupArgs, SimilarArgs, TrackArgs, TrainCommand,
};

/// See what a frozen DINOv2 sees in your photos.
///
/// Photos in, pictures out: written paths go to stdout, progress and messages to stderr. Exit code: 0 all good, 1
/// something failed, 2 the command line is at fault, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "dino", version = VERSION, max_term_width = 100, args_override_self = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// clap's error; help and version count as errors too.
    pub fn read() -> Result<Self, clap::Error> {
        let matches = full_command().try_get_matches()?;
        Cli::from_arg_matches(&matches)
    }
}

/// The whole command line for parsing, help and the manual page, with short help as [`short_help`] has it.
pub fn full_command() -> clap::Command {
    short_help::shorten(Cli::command())
}

const EXAMPLES: &str = "\
Examples:
  dino segment photo.jpg             what is where, in dino-out/photo.segment.png
  dino pca photo.jpg                 colours for the parts of a photo, in dino-out/photo.pca.png
  dino pca -r holiday/ -o colours/   a whole tree of folders, with the same colours throughout
  dino depth room.jpg                how far away things are, in dino-out/room.depth.png
  dino models list                   the backbones, and which of them are installed";

/// What holds for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// No progress and no notes, only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Tell more, such as the time of each stage
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Threads to compute with [default: one per processor]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    Segment(Box<SegmentArgs>),
    Pca(Box<PcaArgs>),
    Attention(Box<AttentionArgs>),
    Similar(Box<SimilarArgs>),
    Depth(Box<DepthArgs>),
    Run(Box<RunTasksArgs>),
    Features(Box<FeaturesArgs>),
    Classify(Box<ClassifyArgs>),
    Track(Box<TrackArgs>),
    #[command(subcommand)]
    Train(TrainCommand),
    #[command(subcommand)]
    Eval(EvalCommand),
    #[command(subcommand)]
    Calibrate(CalibrateCommand),
    #[command(subcommand)]
    Models(ModelsCommand),
    #[command(subcommand)]
    Heads(HeadsCommand),
    Setup(Box<SetupArgs>),
    Config(ConfigArgs),
    #[command(subcommand)]
    Manifest(ManifestCommand),
    #[command(subcommand)]
    Cache(CacheCommand),
    Bench(Box<BenchArgs>),
    Selfcheck(Box<SelfcheckArgs>),
    /// Show version, devices, GPUs, threads, the model store and what is in it
    #[command(after_help = "Example:\n  dino info --json | jq .devices")]
    Info {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  dino completions bash > ~/.local/share/bash-completion/completions/dino"
    )]
    Completions {
        /// The shell that will read it
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  dino man | man -l -")]
    Man,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command) {
            for sub in command
                .get_subcommands()
                .filter(|sub| !sub.has_subcommands())
            {
                let help = sub
                    .get_after_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(help.contains("Example"), "dino … {}", sub.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
