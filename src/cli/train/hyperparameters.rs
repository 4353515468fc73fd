//! Options of a training: its features, steps, rates, validation and memory.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use dino::learn::data::SplitStrategy;
use dino::model::input::SizeRule;

use crate::cli::values::{memory_size_or_zero, positive, share, weight};

/// Which features are computed, and where they are kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Features")]
pub struct TrainFeatureArgs {
    /// Train on the mirrored photos too
    #[arg(long)]
    pub flip: bool,
    /// Train on the photos at this size too; can be given again
    #[arg(long, value_name = "SIZE")]
    pub also_size: Vec<SizeRule>,
    /// Where features are kept [default: cache/features in the folder of models]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub cache: Option<PathBuf>,
    /// How much is kept there, such as 50G: what was longest not in use goes first, never what this training uses
    /// [default: a tenth of the file system]
    ///
    /// Room is made before features are computed, and again when they are. `dino cache` lists and removes them.
    #[arg(long, value_name = "SIZE", value_parser = memory_size_or_zero)]
    pub cache_limit: Option<u64>,
}

/// How is trained.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub struct HyperparameterArgs {
    /// Rounds, each with a validation at its end
    #[arg(long, default_value = "10", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: u32,
    /// Patches a round [default: as many as there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub patches: Option<u32>,
    /// Patches a step
    #[arg(long, default_value = "1024", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch: u32,
    /// Highest learning rate
    #[arg(long, default_value = "0.002", value_name = "R", value_parser = positive)]
    pub rate: f64,
    /// Share of the steps in which the rate rises to it
    #[arg(long, default_value = "0.1", value_name = "S", value_parser = share)]
    pub warm_up: f64,
    /// Weight decay
    #[arg(long, default_value = "0.01", value_name = "W", value_parser = weight)]
    pub decay: f64,
    /// Share of a patch's features that is set to zero
    #[arg(long, default_value = "0.1", value_name = "S", value_parser = share)]
    pub dropout: f64,
    /// Share of the global tokens that is set to zero
    #[arg(long, default_value = "0.5", value_name = "S", value_parser = share)]
    pub global_dropout: f64,
    /// How much of a moving average of the weights a step keeps, such as 0.999; 0 for no average
    #[arg(long, default_value = "0", value_name = "K", value_parser = share)]
    pub average: f64,
    /// At most so many photos of each DATA (200), or of named sets (voc=200,street=90), in runs of neighbours evenly spread
    /// over them [default: all]
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    pub photos: Vec<String>,
    /// Relative number of patches from each DATA, or from named sets (voc=2,ade20k=0) [default: by their
    /// photos; with --sets, all alike]
    #[arg(long, value_delimiter = ',', value_name = "P,…")]
    pub parts: Vec<String>,
    /// Which photos are for validation: auto (val/ if it is there, else blocks), blocks of neighbours, spread, none
    #[arg(long, value_enum, default_value = "auto", value_name = "HOW")]
    pub val_split: SplitChoice,
    /// Share of the photos for validation
    #[arg(long, default_value = "0.15", value_name = "S", value_parser = share)]
    pub val_fraction: f64,
    /// Cross-validation: keep each photo out of one of N trainings, judge it by that one, and train once more on all
    /// photos at the end
    #[arg(long, default_value = "1", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), conflicts_with = "val_fraction")]
    pub folds: u32,
    /// At the end train again on all photos, those for validation too; the figures that are kept are of the first head
    #[arg(long)]
    pub refit: bool,
    /// Photos of each DATA to validate on after each round; the last validation takes all
    #[arg(long, default_value = "100", value_name = "N")]
    pub val_photos: usize,
    /// Stop after this many rounds without a better one; 0 never stops
    #[arg(long, default_value = "0", value_name = "N")]
    pub patience: usize,
    /// The figure that tells the best round [default: rmse, or miou]
    #[arg(long, value_name = "FIGURE")]
    pub best_by: Option<String>,
    /// Seed of everything random
    #[arg(long, default_value = "0", value_name = "N")]
    pub seed: u64,
    /// Memory for features, in GiB; more data than that is read again each round
    #[arg(long, default_value = "2", value_name = "GIB", value_parser = positive)]
    pub memory: f64,
}

/// Values of `--val-split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitChoice {
    /// The data's own val/, else blocks
    Auto,
    /// Runs of neighbours, for they often show one room
    Blocks,
    /// Single photos, evenly spread
    Spread,
    /// No validation; everything is trained on
    None,
}

impl From<SplitChoice> for SplitStrategy {
    fn from(choice: SplitChoice) -> Self {
        match choice {
            SplitChoice::Auto => SplitStrategy::Auto,
            SplitChoice::Blocks => SplitStrategy::Blocks,
            SplitChoice::Spread => SplitStrategy::Spread,
            SplitChoice::None => SplitStrategy::None,
        }
    }
}
