//! Options of `dino segment`, and the [`SegmentRecipe`] or [`ClustersRecipe`] that they become.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use dino::analysis::cluster::ClusterCount;
use dino::tasks::layer;
use dino::tasks::recipe::{self, ClustersRecipe, LabelRecipe, SegmentRecipe};
use dino::vision::postprocess::MinArea;

use super::values::opacity;
use super::{PredictArgs, RefitArgs, TextArgs, VideoArgs};

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
    pub refit: RefitArgs,
    #[command(flatten)]
    pub clusters: ClusterArgs,
    #[command(flatten)]
    pub look: SegmentLookArgs,
    #[command(flatten)]
    pub text: TextArgs,
    #[command(flatten)]
    pub files: SegmentFileArgs,
    #[command(flatten)]
    pub video: VideoArgs,
}

/// Parts without a head.
#[derive(Debug, Args)]
#[command(next_help_heading = "Clusters")]
pub struct ClusterArgs {
    /// Find this many parts instead of classes, or auto: 3 to 12, by silhouette
    #[arg(long, value_name = "K", conflicts_with = "head")]
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
    /// Leave pixels without a class whose class has a probability below this, from 0 to 1 [default: 0.5 in the picture, 0
    /// in files]
    ///
    /// They show the photo, and count as unlabelled in the legend. Without --least, that is so in the picture alone, and
    /// exact labels have the best class of every pixel. With it, those have no class in them either: 255 in ids (65535 in
    /// 16 bits), and part of no mask, annotation or cutout. --least 0 draws every pixel's class. Clusters are drawn
    /// everywhere if nothing is given.
    #[arg(long, value_name = "CONFIDENCE", value_parser = opacity)]
    pub least: Option<f32>,
    /// Opacity of the colours over the photo, from 0 to 1
    #[arg(long, visible_alias = "overlay", default_value = "0.55", value_name = "A", value_parser = opacity, conflicts_with = "mask_only")]
    pub alpha: f32,
    /// The colours alone, without photo and names
    #[arg(long)]
    pub mask_only: bool,
    /// Photo and picture side by side
    #[arg(long)]
    pub side_by_side: bool,
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
    /// Write exact labels too: ids (PNG with palette), npy, masks (a folder, one PNG a class), coco (JSON), or a cutout
    /// (PNG: the photo where it is of the kept classes, transparent elsewhere)
    ///
    /// A cutout keeps the classes of --classes; without it, every pixel that has a class other than `background`.
    /// Transparent pixels are black underneath.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "FORMATS",
        hide_possible_values = true
    )]
    pub save: Vec<LabelFormatChoice>,
    /// Crop the cutout to the box of what is kept
    #[arg(long)]
    pub crop: bool,
    /// Write one COCO document for all photos of the run
    ///
    /// A photo's file_name is its path below the folder or pattern that was searched, and its ids are those of its own
    /// --save coco; category ids are those of --save ids plus 1. Photos whose files are there already are labelled
    /// again for the document, if that is not there.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub coco: Option<PathBuf>,
    /// Polygons in COCO documents instead of run-length encoded masks
    ///
    /// They run along the edges of pixels and are not simplified, so that their area is exactly the number of pixels.
    /// COCO's polygons have no holes: a hole is joined to the outline by a cut of no width.
    #[arg(long)]
    pub coco_polygons: bool,
    /// List parts of classes, with boxes and areas, in --json and COCO: regions are the connected regions of a class
    ///
    /// Pixels of one class that touch by a side or a corner are a region. Regions are not instances: two dogs that touch
    /// are one region, and a dog behind a lamp post is two.
    #[arg(long, value_enum, value_name = "HOW")]
    pub instances: Option<InstancesChoice>,
    /// Leave out regions smaller than this many pixels, or than a part of the photo, such as 0.1%
    ///
    /// They stay in the picture, the ids and the masks; how many were left out is in --json.
    #[arg(long, value_name = "AREA", default_value = "1", requires = "instances")]
    pub min_region: MinArea,
    /// Write how sure the labels are as NAME.segment.confidence.png, from black to white
    #[arg(long)]
    pub confidence: bool,
}

/// Values of `--instances`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InstancesChoice {
    /// Connected regions of a class, which are not instances
    Regions,
}

/// Values of `--save`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LabelFormatChoice {
    /// Indexed PNG with the classes' colours
    Ids,
    /// NumPy array of ids
    Npy,
    /// One black and white PNG a class, in a folder
    Masks,
    /// COCO's JSON
    Coco,
    /// The photo with all but the kept classes transparent
    Cutout,
    /// Of clips: lossless video of ids in Matroska, 8 bits, or 16 where there are more classes
    Ffv1,
}

impl From<LabelFormatChoice> for recipe::LabelFileFormat {
    fn from(format: LabelFormatChoice) -> Self {
        match format {
            LabelFormatChoice::Ids => recipe::LabelFileFormat::Ids,
            LabelFormatChoice::Npy => recipe::LabelFileFormat::Npy,
            LabelFormatChoice::Masks => recipe::LabelFileFormat::Masks,
            LabelFormatChoice::Coco => recipe::LabelFileFormat::Coco,
            LabelFormatChoice::Cutout => recipe::LabelFileFormat::Cutout,
            LabelFormatChoice::Ffv1 => recipe::LabelFileFormat::Ffv1,
        }
    }
}

impl SegmentArgs {
    /// The segmentation task with a head that these options describe.
    pub fn recipe(&self) -> SegmentRecipe {
        SegmentRecipe {
            head: self.predict.recipe(),
            labels: self.labels(),
        }
    }

    /// The task with clusters that these options describe; none without `--clusters` and `--codebook`.
    pub fn clusters(&self) -> Option<ClustersRecipe> {
        let clusters = &self.clusters;
        (clusters.clusters.is_some() || clusters.codebook.is_some()).then(|| ClustersRecipe {
            clusters: clusters.clusters.unwrap_or(ClusterCount::Auto),
            codebook: clusters.codebook.clone(),
            save_codebook: clusters.save_codebook.clone(),
            size: self.predict.head.size.unwrap_or(layer::DEFAULT_SIZE),
            refine: self.predict.head.refine(),
            labels: self.labels(),
        })
    }

    fn labels(&self) -> LabelRecipe {
        let (look, files) = (&self.look, &self.files);
        LabelRecipe {
            classes: look.classes.clone(),
            least: look.least,
            alpha: look.alpha,
            mask_only: look.mask_only,
            side_by_side: look.side_by_side,
            outline: look.outline,
            no_names: look.no_names,
            no_legend: look.no_legend,
            font: self.text.font.clone(),
            save: files.save.iter().map(|&format| format.into()).collect(),
            crop: files.crop,
            coco: files.coco.clone(),
            coco_polygons: files.coco_polygons,
            regions: files.instances == Some(InstancesChoice::Regions),
            min_region: files.min_region,
            confidence: files.confidence,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  dino segment photo.jpg --outline
  dino segment street/ --classes person,car --save masks
  dino segment dog.jpg --classes dog --save cutout --crop
  dino segment -r street/ --coco street.json --instances regions --min-region 100
  dino segment cup.jpg --clusters 3 --refine --save masks
  dino segment -r holiday/ --clusters auto --save-codebook holiday.safetensors
  dino segment next-year/ --codebook holiday.safetensors --classes 2 --save masks";
