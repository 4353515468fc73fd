//! `dino train`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use dino::learn::data::SplitStrategy;
use dino::learn::data::checks::IgnoredId;
use dino::learn::eval::Crop;
use dino::model::head::context;
use dino::model::head::global_token::GlobalToken;
use dino::model::head::meta::Spacing;
use dino::model::input::{CoarseScale, SizeRule};

use super::cache::memory_size_or_zero;
use super::{PhotoArgs, RunArgs};

/// Train a head for depth or segmentation on labelled photos
///
/// The backbone stays as it is: its features are computed once and kept, so a second head on the same photos costs
/// minutes. A training that was stopped goes on where it was when the same command is given again.
///
/// Photos and labels belong together by their names, without what all labels' names end in (_mask, _gtFine_labelIds).
/// Labels lie on the upright photo and may be smaller; where the shape of one is that of the photo as it is stored, it is
/// turned with the photo.
#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    Depth(Box<TrainDepthArgs>),
    Segment(Box<TrainSegmentArgs>),
}

/// Learn metres from photos and depth maps
///
/// Depth maps are floats in metres (NPY, NPZ, PFM, EXR, TIFF, Sintel's .dpt), or whole numbers of 16 bits or more (PNG,
/// TIFF, PGM, NPY) in units that --depth-scale tells. Whatever `dino depth --save` writes is read back.
#[derive(Debug, Args)]
#[command(after_help = DEPTH_EXAMPLES, args_override_self = true)]
pub struct TrainDepthArgs {
    #[command(flatten)]
    pub common: TrainArgs,
    #[command(flatten)]
    pub labels: DepthLabelArgs,
    /// Number of depth bins
    #[arg(long, default_value = "256", value_name = "N", value_parser = clap::value_parser!(u16).range(2..=4096), help_heading = "Depth")]
    pub bins: u16,
    /// How the bins are spaced
    #[arg(
        long,
        value_enum,
        default_value = "log",
        value_name = "HOW",
        help_heading = "Depth"
    )]
    pub spacing: SpacingChoice,
    /// First and last bin, in metres
    #[arg(long, default_value = "0.5,10", value_name = "A,B", value_parser = range, help_heading = "Depth")]
    pub range: (f64, f64),
    /// How much of the mean logarithmic error the loss forgives: 0 none, 1 all
    #[arg(
        long,
        default_value = "0.85",
        value_name = "L",
        value_parser = share,
        help_heading = "Depth"
    )]
    pub lambda: f64,
    /// Weight of the gradient loss, which keeps edges where they are
    #[arg(
        long,
        default_value = "0.5",
        value_name = "W",
        value_parser = weight,
        help_heading = "Depth"
    )]
    pub gradient: f64,
    /// Weight of the absolute error in metres
    #[arg(
        long,
        default_value = "0.12",
        value_name = "W",
        value_parser = weight,
        help_heading = "Depth"
    )]
    pub absolute: f64,
    /// Weight of a cross-entropy over the bins
    #[arg(
        long,
        default_value = "0",
        value_name = "W",
        value_parser = weight,
        help_heading = "Depth"
    )]
    pub bin_loss: f64,
}

/// What depth labels mean and which of them count.
#[derive(Debug, Args)]
#[command(next_help_heading = "Labels")]
pub struct DepthLabelArgs {
    /// Units of a metre in depth maps of whole numbers: 1000 for millimetres, 256 for KITTI, 5000 for TUM; 0 is no
    /// reading, and floats are metres [default: what a file of dino's own says, 256 for KITTI as it is unpacked, else 1000]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub depth_scale: Option<f64>,
    /// Readings below this many metres do not count
    #[arg(long, default_value = "0.001", value_name = "M", value_parser = positive)]
    pub min_depth: f64,
    /// Readings above this many metres do not count
    #[arg(long, default_value = "10", value_name = "M", value_parser = positive)]
    pub max_depth: f64,
    /// The part of a frame that is judged, as a share of its full size: eigen (NYU) or garg (KITTI)
    #[arg(long, value_enum, default_value = "none", value_name = "CROP")]
    pub crop: CropChoice,
}

/// Learn classes from photos and masks
///
/// Masks are ids (PNG, TIFF, GIF, BMP, PGM or WebP, grey or with a palette, NPY or NPZ), or in the colours that the class
/// list names. Black and VOC's border (224, 224, 192) are no class unless the list has them. Whatever `dino segment
/// --save ids` writes is read back.
#[derive(Debug, Args)]
#[command(after_help = SEGMENT_EXAMPLES, args_override_self = true)]
pub struct TrainSegmentArgs {
    #[command(flatten)]
    pub common: TrainArgs,
    /// The class list: JSON of names, or of {"name", "color"} [default: classes.json in DATA]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Labels")]
    pub classes: Option<PathBuf>,
    /// One taxonomy for several data sets, which lie in DATA; see heads/everyday.json
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "classes", help_heading = "Labels")]
    pub sets: Option<PathBuf>,
    /// The id of pixels without a class, or none [default: 255, but in masks of 0 and 255 for two classes the second]
    #[arg(long, value_name = "ID", help_heading = "Labels")]
    pub ignore: Option<IgnoreChoice>,
    /// How much rare classes are drawn more often: 0 not at all, 1 all classes alike
    #[arg(
        long,
        default_value = "0.5",
        value_name = "B",
        value_parser = share,
        help_heading = "Training"
    )]
    pub balance: f64,
    /// Spread this much of every target over all classes
    #[arg(
        long,
        default_value = "0",
        value_name = "S",
        value_parser = share,
        help_heading = "Training"
    )]
    pub smoothing: f64,
}

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
    /// Lay labels over their photos even where both have different shapes
    #[arg(long, help_heading = "Labels")]
    pub stretch_labels: bool,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub photo: PhotoArgs,
    /// What the backbone sees: the short side in pixels, native, or WIDTHxHEIGHT
    #[arg(
        long,
        default_value = "518",
        value_name = "SIZE",
        help_heading = "Model"
    )]
    pub size: SizeRule,
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

/// The value of `--ignore`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IgnoreChoice(Option<u16>);

impl IgnoreChoice {
    /// The id that is ignored, 255 if nothing is said.
    pub fn or_default(choice: Option<Self>) -> IgnoredId {
        choice.map_or(IgnoredId::default(), |IgnoreChoice(id)| IgnoredId {
            id,
            is_explicit: true,
        })
    }
}

impl std::str::FromStr for IgnoreChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(IgnoreChoice(None));
        }
        let id = text.trim().parse();
        id.map(|id| IgnoreChoice(Some(id)))
            .map_err(|_| "expected an id from 0 to 65535, or none".to_owned())
    }
}

/// The value of `--globals`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalTokens(pub Vec<GlobalToken>);

impl std::str::FromStr for GlobalTokens {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |name: &str| {
            let found = GlobalToken::ALL.into_iter().find(|t| t.name() == name);
            found.ok_or_else(|| {
                format!("{name:?} is none of cls, mean and deviation; none reads no such token")
            })
        };
        rising(text, one).map(Self)
    }
}

/// The value of `--context`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextSides(pub Vec<usize>);

impl std::str::FromStr for ContextSides {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides = rising(text, |side| {
            let side = side.parse();
            side.map_err(|_| "expected numbers, such as 3,7, or none".to_owned())
        })?;
        match context::sides_problem(&sides) {
            Some(why) => Err(why),
            None => Ok(Self(sides)),
        }
    }
}

/// The parts of `text` between commas as `one` reads them, rising and each once; nothing for `none`.
fn rising<T: Ord>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    let mut all = text.split(',').map(one).collect::<Result<Vec<_>, _>>()?;
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Values of `--spacing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpacingChoice {
    /// Equal ratios
    Log,
    /// Equal differences
    Linear,
}

/// Values of `--crop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CropChoice {
    /// All of it
    None,
    /// Rows 45 to 471, columns 41 to 601 of 480x640
    Eigen,
    /// Rows 153 to 371, columns 44 to 1197 of 375x1242
    Garg,
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

impl From<SpacingChoice> for Spacing {
    fn from(choice: SpacingChoice) -> Self {
        match choice {
            SpacingChoice::Log => Spacing::Log,
            SpacingChoice::Linear => Spacing::Linear,
        }
    }
}

impl From<CropChoice> for Crop {
    fn from(choice: CropChoice) -> Self {
        match choice {
            CropChoice::None => Crop::None,
            CropChoice::Eigen => Crop::Eigen,
            CropChoice::Garg => Crop::Garg,
        }
    }
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

const DEPTH_EXAMPLES: &str = "\
Examples:
  dino train depth frames/ -o my.safetensors
  dino train depth nyu/ --crop eigen --flip --epochs 20 -o indoor.safetensors
  dino depth photo.jpg --head my.safetensors";

const SEGMENT_EXAMPLES: &str = "\
Examples:
  dino train segment camvid/ --classes classes.json -o street.safetensors
  dino train segment data/ --sets everyday.json -o everyday.safetensors
  dino segment photo.jpg --head street.safetensors";

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|v| v.is_finite())
}

fn positive(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|&v| v > 0.0)
        .ok_or_else(|| "expected a number above 0".into())
}

fn weight(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|&v| v >= 0.0)
        .ok_or_else(|| "expected a number, 0 or above".into())
}

fn share(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|v| (0.0..=1.0).contains(v))
        .ok_or_else(|| "expected a number from 0 to 1".into())
}

fn range(text: &str) -> Result<(f64, f64), String> {
    text.split_once(',')
        .and_then(|(a, b)| Some((number(a)?, number(b)?)))
        .filter(|(a, b)| *a > 0.0 && a < b)
        .ok_or_else(|| "expected two rising numbers above 0, such as 0.5,10".into())
}
