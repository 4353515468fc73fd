//! Options that `dino train depth` and `segment` share: data, outputs, and which features a head reads.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use dino::model::input::CoarseScale;

use super::head_inputs::{ContextSides, GlobalTokens};
use super::hyperparameters::{HyperparameterArgs, TrainFeatureArgs};
use crate::cli::{LabelShapeArgs, PhotoArgs, RunArgs, SizeArgs};

/// What both tasks have in common.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Folders with images/ and masks/ or depth/ (or train/ and val/ with such), public data sets as they are unpacked, or
    /// lists of pairs (.csv, .tsv, .jsonl, .txt)
    #[arg(required = true, value_name = "DATA", value_hint = ValueHint::AnyPath)]
    pub data: Vec<PathBuf>,
    /// The head's file; its log and curve are put beside it
    #[arg(short, long, required = true, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub output: PathBuf,
    /// What the head is called [default: the name of its file]
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    pub name: Option<String>,
    /// A data set and its licence, to be kept in the head; can be given again [default: the names of DATA]
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    pub credit: Vec<String>,
    /// Start anew, even if the output or a stopped training is there
    #[arg(long, help_heading = "Output")]
    pub force: bool,
    #[command(flatten)]
    pub shape: LabelShapeArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub photo: PhotoArgs,
    #[command(flatten)]
    pub size: SizeArgs,
    /// Blocks whose tokens are read, from 0 [default: four, evenly spread]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "A,B,…",
        help_heading = "Model"
    )]
    pub blocks: Vec<usize>,
    /// Apply the backbone's final norm to them
    #[arg(long, help_heading = "Model")]
    pub norm: bool,
    /// Sides, in patches, of squares around each patch whose mean tokens are read beside its own, such as 3,7: odd, or
    /// none
    #[arg(
        long,
        default_value = "none",
        value_name = "N,…",
        help_heading = "Model"
    )]
    pub context: ContextSides,
    /// Let the backbone look at the photo a second time, coarser, at this share of its size in percent (such as 60), and
    /// read the token of the same place too
    #[arg(long, value_name = "PERCENT", help_heading = "Model")]
    pub coarse: Option<CoarseScale>,
    /// Tokens of the whole photo to read beside each patch: cls, mean and deviation (of the patch tokens), or none
    /// [default: cls for depth, none for segmentation]
    #[arg(long, value_name = "T,…", help_heading = "Model")]
    pub globals: Option<GlobalTokens>,
    /// Width of a hidden layer with ReLU; 0 for a linear head
    #[arg(long, default_value = "0", value_name = "N", help_heading = "Model")]
    pub hidden: usize,
    /// Start from the weights of this head, a name or a file, rather than from nothing: it must read the same features.
    /// Classes are found by their names; one that it does not know starts as the mean of all
    #[arg(long, value_name = "HEAD", help_heading = "Model")]
    pub from: Option<OsString>,
    #[command(flatten)]
    pub features: TrainFeatureArgs,
    #[command(flatten)]
    pub hyper: HyperparameterArgs,
}
