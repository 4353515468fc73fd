//! Options of `dino features` and the [`FeaturesRecipe`] that they become; `--features`, which runs on a stored dataset.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use dino::engine::BatchSize;
use dino::io::features::Precision;
use dino::model::device::{DeviceChoice, DtypeChoice};
use dino::model::input::SizeRule;
use dino::tasks::recipe::{FeaturesRecipe, TokenKind};

use super::backbone::dtype_parser;
use super::values::memory_size;
use super::{InputArgs, RunArgs};

/// Store what the backbone gives for photos, for search, training and other programs
///
/// Rows of photos, one each, go into a dataset: a folder of part files, which appear complete or not at all. Run it again
/// with more photos, and theirs are added; rows of photos that were changed are made anew.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct FeaturesArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// The dataset, a folder whose ending says what its parts are: .parquet, .arrow, .safetensors, .npy, or .tar for
    /// WebDataset
    #[arg(short, long, value_name = "DATASET", required = true, value_hint = ValueHint::AnyPath, help_heading = "Output")]
    pub output: PathBuf,
    /// Make the dataset anew, whatever is in it
    #[arg(long, help_heading = "Output")]
    pub force: bool,
    /// Print one JSON object a photo, once its row is there for good, instead of the paths of parts
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Neither read nor write _manifest.jsonl in the dataset, where it is noted what was done with what
    #[arg(long, help_heading = "Output")]
    pub no_manifest: bool,
    /// Try photos again that failed before and have not changed
    #[arg(long, help_heading = "Output")]
    pub retry_failed: bool,
    /// Numbers in a part, such as 16M or 1G; what is lost of a run that is killed is one part, or a minute
    #[arg(long, value_name = "SIZE", default_value = "128M", value_parser = memory_size, help_heading = "Output")]
    pub part_size: u64,
    #[command(flatten)]
    pub selection: FeatureSelectionArgs,
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// What is stored.
#[derive(Debug, Args)]
#[command(next_help_heading = "Features")]
pub struct FeatureSelectionArgs {
    /// Which tokens: cls (one a photo), patches (one a patch), registers [default: cls,patches; with --at, none but those]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "A,B")]
    pub what: Vec<TokenChoice>,
    /// Blocks whose tokens are stored, from 0, or from -1 at the end [default: the last]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "N,M",
        allow_negative_numbers = true
    )]
    pub blocks: Vec<i64>,
    /// Apply the backbone's final norm, as is usual
    #[arg(long, overrides_with = "no_norm")]
    pub norm: bool,
    /// Leave out the backbone's final norm
    #[arg(long, overrides_with = "norm")]
    pub no_norm: bool,
    /// Store what this head reads (its blocks, norm and, unless --size is given, size), so that `--features` can run it later
    #[arg(long = "for", value_name = "HEAD", value_hint = ValueHint::FilePath, conflicts_with_all = ["blocks", "norm", "no_norm", "what", "pool", "basis"])]
    pub head: Option<PathBuf>,
    /// What the backbone sees: the short side in pixels, native, or WIDTHxHEIGHT [default: 518]
    #[arg(long, value_name = "SIZE")]
    pub size: Option<SizeRule>,
    /// Number type that is stored
    #[arg(long, value_enum, value_name = "TYPE", default_value = "f16")]
    pub dtype: PrecisionChoice,
    /// Pool patch tokens to a grid of N x N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub pool: Option<u32>,
    /// Project patch tokens on a fit that `dino pca --save-basis` saved
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["blocks", "norm", "no_norm"])]
    pub basis: Option<PathBuf>,
    /// Store features at the pixels of this CSV file, between patches: columns x and y, counted from 0,0, and photo where
    /// photos have their own
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "basis")]
    pub at: Option<PathBuf>,
}

/// How the backbone runs, where `--dtype` is of what is stored.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ComputeArgs {
    /// The backbone; `dino models list` names them [default: as of `dino pca`]
    #[arg(short, long, value_name = "NAME")]
    pub model: Option<String>,
    /// Where to compute: auto, cpu, cuda, cuda:N, cuda:N,M or metal
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Number type of the backbone, as --dtype of other commands; auto is f16 on NVIDIA GPUs from Ampere on, f32 elsewhere
    #[arg(long, value_name = "TYPE", default_value = "auto", value_parser = dtype_parser())]
    pub compute_dtype: DtypeChoice,
    /// Photos of one size to run at once; auto is 1 on a CPU, and what its memory allows on an NVIDIA GPU
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    pub batch_size: BatchSize,
    /// Never download anything (as HF_HUB_OFFLINE=1)
    #[arg(long)]
    pub offline: bool,
}

/// Stored features in the backbone's place.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct StoredArgs {
    /// Take features from this dataset of `dino features` instead of running the backbone; without INPUT, of all photos
    /// that it has
    ///
    /// What a picture shows of the photo itself is still read from there: a photo that was changed since fails.
    #[arg(long, value_name = "DATASET", value_hint = ValueHint::DirPath)]
    pub features: Option<PathBuf>,
}

/// Values of `--what`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenChoice {
    /// One of the whole photo
    Cls,
    /// One a patch
    Patches,
    /// Those of models with registers
    Registers,
}

/// Values of `--dtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionChoice {
    /// Half as large
    F16,
    /// As computed
    F32,
}

impl From<TokenChoice> for TokenKind {
    fn from(choice: TokenChoice) -> Self {
        match choice {
            TokenChoice::Cls => TokenKind::Cls,
            TokenChoice::Patches => TokenKind::Patches,
            TokenChoice::Registers => TokenKind::Registers,
        }
    }
}

impl FeaturesArgs {
    /// The task of storing features that these options describe.
    pub fn recipe(&self) -> FeaturesRecipe {
        let selection = &self.selection;
        FeaturesRecipe {
            output: self.output.clone(),
            size: selection.size,
            blocks: selection.blocks.clone(),
            no_norm: selection.no_norm,
            head: selection.head.clone(),
            what: selection.what.iter().copied().map(Into::into).collect(),
            dtype: match selection.dtype {
                PrecisionChoice::F16 => Precision::F16,
                PrecisionChoice::F32 => Precision::F32,
            },
            pool: selection.pool,
            basis: selection.basis.clone(),
            at: selection.at.clone(),
            part_size: self.part_size,
        }
    }
}

impl ComputeArgs {
    /// The same options as other commands have them, where `--dtype` is the backbone's number type.
    pub fn to_run_args(&self) -> RunArgs {
        RunArgs {
            model: self.model.clone(),
            device: self.device.clone(),
            dtype: self.compute_dtype,
            batch_size: self.batch_size,
            offline: self.offline,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  dino features -r photos/ -o photos.parquet --what cls
  dino features -r photos/ -o dense.parquet --blocks 2,5,8,11 --pool 16
  dino features -r photos/ -o indoor.arrow --for indoor && dino depth --features indoor.arrow
  dino features photo.jpg -o at.npy --at points.csv --dtype f32";
