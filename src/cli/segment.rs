//! `dino segment`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use dino::cluster::ClusterCount;
use dino::cluster::file::MOST;

use super::{PredictArgs, TextArgs};

/// Label every pixel of photos: with the classes of a head, or with clusters that need no training
///
/// Gives the photo under its classes' colours, with a legend. Classes are those of the head; with --clusters, photos
/// are cut into parts by the backbone's features alone, and one colour means one thing in all photos of a run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct SegmentArgs {
    #[command(flatten)]
    pub predict: PredictArgs,
    #[command(flatten)]
    pub clusters: ClusterArgs,
    #[command(flatten)]
    pub look: SegmentLookArgs,
    #[command(flatten)]
    pub text: TextArgs,
    #[command(flatten)]
    pub files: SegmentFileArgs,
}

/// Parts without a head.
#[derive(Debug, Args)]
#[command(next_help_heading = "Clusters")]
pub struct ClusterArgs {
    /// Find this many parts instead of classes, or auto: 3 to 12, by silhouette
    #[arg(long, value_name = "K", value_parser = cluster_count, conflicts_with = "head")]
    pub clusters: Option<ClusterCount>,
    /// Use clusters saved by --save-codebook
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
          conflicts_with_all = ["clusters", "save_codebook", "head"])]
    pub codebook: Option<PathBuf>,
    /// Save the clusters, to cut other photos the same way
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "clusters")]
    pub save_codebook: Option<PathBuf>,
}

/// How the picture looks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Picture")]
pub struct SegmentLookArgs {
    /// Show only these classes, by name; the rest of the photo is left as it is
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub classes: Vec<String>,
    /// Opacity of the colours over the photo, from 0 to 1
    #[arg(long, default_value = "0.55", value_name = "A", value_parser = super::pca::opacity, conflicts_with = "mask_only")]
    pub alpha: f32,
    /// The colours alone, without photo and names
    #[arg(long)]
    pub mask_only: bool,
    /// Lines along the borders of classes
    #[arg(long)]
    pub outline: bool,
    /// No names on large regions
    #[arg(long)]
    pub no_names: bool,
    /// No legend
    #[arg(long)]
    pub no_legend: bool,
}

/// What is written beside the picture.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct SegmentFileArgs {
    /// Write exact labels too: ids (PNG with palette), npy, masks (a folder, one PNG a class), coco (JSON)
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "FORMATS",
        hide_possible_values = true
    )]
    pub save: Vec<LabelFormat>,
    /// Write how sure the labels are as NAME.segment.confidence.png, from black to white
    #[arg(long)]
    pub confidence: bool,
}

/// Values of `--save`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LabelFormat {
    /// Indexed PNG with the classes' colours
    Ids,
    /// NumPy array of ids
    Npy,
    /// One black and white PNG a class, in a folder
    Masks,
    /// COCO's JSON
    Coco,
}

const EXAMPLES: &str = "\
Examples:
  dino segment photo.jpg --outline
  dino segment street/ --classes person,car --save masks
  dino segment cup.jpg --clusters 3 --refine --save masks
  dino segment -r holiday/ --clusters auto --save-codebook holiday.safetensors
  dino segment next-year/ --codebook holiday.safetensors --classes 2 --save masks";

fn cluster_count(text: &str) -> Result<ClusterCount, String> {
    match text.parse::<usize>() {
        _ if text == "auto" => Ok(ClusterCount::Auto),
        Ok(k) if (2..=MOST).contains(&k) => Ok(ClusterCount::Exactly(k)),
        _ => Err(format!("expected auto, or a number from 2 to {MOST}")),
    }
}
