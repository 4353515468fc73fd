//! Options of `dino eval depth` and `segment`; `dino calibrate` has [`EvalInputArgs`] too.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::{DepthLabelArgs, HeadArgs, IgnoreArgs, LabelShapeArgs, PhotoArgs, RunArgs, TextArgs};

/// Judge a head on labelled photos
///
/// Figures are those of the papers. Photos and labels are found as by `dino train`; of data with train/ and val/, the
/// val/ part is judged. Predictions are brought to the label's pixels, whatever its size.
#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    Depth(Box<EvalDepthArgs>),
    Segment(Box<EvalSegmentArgs>),
}

/// RMSE, AbsRel, log10, SILog and delta1 to delta3, plain and aligned, averaged over the images
///
/// Every figure is the mean of the images' own figures, the RMSE too. "Aligned" is after scaling each prediction to the
/// median of its label, before it is clamped to --min-depth and --max-depth, which leaves the shape to be judged without
/// the scale. --align scale-shift goes further, for heads of relative depth: all figures are then of predictions that were
/// brought to their labels by two numbers each. A head that `dino calibrate depth` fitted to a camera and place is judged
/// with that, and it is said.
#[derive(Debug, Args)]
#[command(after_help = DEPTH_EXAMPLES, args_override_self = true)]
pub struct EvalDepthArgs {
    #[command(flatten)]
    pub common: EvalArgs,
    #[command(flatten)]
    pub labels: DepthLabelArgs,
    /// How predictions are brought to the labels: median (plain figures, and aligned ones by the median), scale-shift (as
    /// MiDaS: least squares of inverse depth by scale and shift, photo by photo; the only way for relative depth)
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        hide_possible_values = true,
        help_heading = "Labels"
    )]
    pub align: Option<AlignChoice>,
    /// Judge the head as it is, without what `dino calibrate depth` fitted
    #[arg(long, help_heading = "Model")]
    pub no_calibration: bool,
}

/// Values of `--align`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AlignChoice {
    /// By the medians
    Median,
    /// By scale and shift of inverse depth
    ScaleShift,
}

/// mIoU, IoU of every class, pixel and mean accuracy, label changes, and the confusion matrix
///
/// The mean IoU is over the classes that the labels have, from the pixels of all images together; JSON has mmsegmentation's
/// too (miou_mmseg), where a class that is predicted, but never labelled, counts as 0.
///
/// label_changes says how restless predictions are: how often the id changes from one judged pixel of a row or column to the
/// next, over how often the label's own does; the mean over photos. 1 is as calm as the labels, 3 is speckle. What is judged
/// are the labels that `dino segment` writes.
#[derive(Debug, Args)]
#[command(after_help = SEGMENT_EXAMPLES, args_override_self = true)]
pub struct EvalSegmentArgs {
    #[command(flatten)]
    pub common: EvalArgs,
    /// The set whose ids the masks have, for a head that knows several (`dino heads info` names them)
    #[arg(long, value_name = "SET", help_heading = "Labels")]
    pub labels: Option<String>,
    /// Take the meaning of the set's ids from this file instead of the head
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "labels", help_heading = "Labels")]
    pub sets: Option<PathBuf>,
    #[command(flatten)]
    pub ignore: IgnoreArgs,
    #[command(flatten)]
    pub text: TextArgs,
}

/// What both tasks have in common.
#[derive(Debug, Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub input: EvalInputArgs,
    /// Write all figures as JSON, or - for stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// Write a report: figures of every photo (CSV), the worst photos, and of classes the confusion matrix
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Replace the files of an earlier report, and of --json, if they are there already
    #[arg(long, help_heading = "Output")]
    pub force: bool,
}

/// A head, and labelled photos that it is compared with.
#[derive(Debug, Args)]
pub struct EvalInputArgs {
    /// A folder with images/ and masks/ or depth/ (or train/ and val/ with such), a public data set as it is unpacked, or a
    /// list of pairs (.csv, .tsv, .jsonl, .txt)
    #[arg(value_name = "DATA", value_hint = ValueHint::AnyPath)]
    pub data: PathBuf,
    /// Which part is judged: auto (val/ if it is there, else all), train, val or all
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        value_name = "PART",
        hide_possible_values = true
    )]
    pub part: PartChoice,
    #[command(flatten)]
    pub shape: LabelShapeArgs,
    #[command(flatten)]
    pub head: HeadArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub photo: PhotoArgs,
}

/// Values of `--part`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PartChoice {
    /// val/ if it is there, else all
    Auto,
    /// What is not set aside for validation
    Train,
    /// What is set aside for validation
    Val,
    /// Everything
    All,
}

const DEPTH_EXAMPLES: &str = "\
Examples:
  dino eval depth nyu-test/ --crop eigen
  dino eval depth frames/ --head my.safetensors --json figures.json -o report/
  dino eval depth nyu-test/ --crop eigen --head da2-small --align scale-shift";

const SEGMENT_EXAMPLES: &str = "\
Examples:
  dino eval segment camvid/ --head street -o report/
  dino eval segment voc/ --head everyday --labels voc --json figures.json";
