//! Options of `dino segment`, with a head or with clusters.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checks::{check_exclusive, check_range};
use super::{HeadRecipe, text};
use crate::analysis::cluster::ClusterCount;
use crate::model::input::SizeRule;
use crate::tasks::inference::layer;
use crate::vision::postprocess::MinArea;

/// Labels by a head's classes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SegmentRecipe {
    /// The head, and how photos go through it.
    #[serde(flatten)]
    pub head: HeadRecipe,
    /// The picture and the files of labels.
    #[serde(flatten)]
    pub labels: LabelRecipe,
}

/// Labels by clusters of the last block's patch tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClustersRecipe {
    /// The number of clusters, or the choice by silhouette.
    #[serde(with = "text::value")]
    pub clusters: ClusterCount,
    /// The file of an earlier codebook, which replaces new clusters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codebook: Option<PathBuf>,
    /// The file that the codebook is saved to; not kept in recipe files.
    #[serde(skip)]
    pub save_codebook: Option<PathBuf>,
    /// The size of photos in the backbone's input; the short side at 518 by default.
    #[serde(with = "text::value")]
    pub size: SizeRule,
    /// Whether borders are fitted to the photo's edges; they are by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refine: Option<bool>,
    /// The picture and the files of labels.
    #[serde(flatten)]
    pub labels: LabelRecipe,
}

impl SegmentRecipe {
    /// Refuses values outside their ranges, and settings that contradict each other.
    pub(super) fn check(&self) -> Result<(), String> {
        self.head.check()?;
        self.labels.check()
    }
}

impl ClustersRecipe {
    /// Refuses values outside their ranges, and settings that contradict each other.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_counted = matches!(self.clusters, ClusterCount::Exactly(_));
        check_exclusive(
            &[
                ("codebook", self.codebook.is_some()),
                ("clusters", is_counted),
            ],
            "do not go together: saved clusters are as many as they are",
        )?;
        self.labels.check()
    }
}

impl Default for ClustersRecipe {
    fn default() -> Self {
        ClustersRecipe {
            clusters: ClusterCount::Auto,
            codebook: None,
            save_codebook: None,
            size: layer::DEFAULT_SIZE,
            refine: None,
            labels: LabelRecipe::default(),
        }
    }
}

/// The picture and the files of labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LabelRecipe {
    /// Names of the classes that are shown; all by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// The least probability, from 0 to 1, of a pixel's class; less probable pixels have no class in picture and files.
    /// By default files have every pixel's class, and only the picture leaves out unsure ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<f32>,
    /// Opacity of the colours over the photo, from 0 to 1; 0.55 by default.
    pub alpha: f32,
    /// Whether the picture has the colours without the photo.
    pub mask_only: bool,
    /// Whether the photo lies beside the picture.
    pub side_by_side: bool,
    /// Whether borders between classes are drawn.
    pub outline: bool,
    /// Whether class names are not written into the picture.
    pub no_names: bool,
    /// Whether the picture has no legend.
    pub no_legend: bool,
    /// A font file for names; the system's fonts by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub font: Option<PathBuf>,
    /// Formats of exact labels; none by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub save: Vec<LabelFileFormat>,
    /// Whether the cutout is cropped to what it shows.
    pub crop: bool,
    /// The file of a COCO document about all photos; not kept in recipe files.
    #[serde(skip)]
    pub coco: Option<PathBuf>,
    /// Whether COCO documents hold polygons instead of run lengths.
    pub coco_polygons: bool,
    /// Whether connected regions of each class are listed in JSON, and annotated in COCO documents instead of classes.
    pub regions: bool,
    /// The area below which regions are left out; 1 pixel by default.
    pub min_region: MinArea,
    /// Whether a map of the confidence is written, as grey values.
    pub confidence: bool,
}

impl LabelRecipe {
    fn check(&self) -> Result<(), String> {
        let is_alpha = self.alpha != LabelRecipe::default().alpha;
        check_exclusive(
            &[("mask-only", self.mask_only), ("alpha", is_alpha)],
            "do not go together: colours alone lie over no photo",
        )?;
        check_range("least", self.least.unwrap_or(0.0), 0.0..=1.0)?;
        check_range("alpha", self.alpha, 0.0..=1.0)
    }
}

impl Default for LabelRecipe {
    fn default() -> Self {
        LabelRecipe {
            classes: Vec::new(),
            least: None,
            alpha: 0.55,
            mask_only: false,
            side_by_side: false,
            outline: false,
            no_names: false,
            no_legend: false,
            font: None,
            save: Vec::new(),
            crop: false,
            coco: None,
            coco_polygons: false,
            regions: false,
            min_region: MinArea::Pixels(1),
            confidence: false,
        }
    }
}

/// File formats of exact labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelFileFormat {
    /// Indexed PNG with the classes' colours.
    Ids,
    /// NumPy array of ids `[height, width]`.
    Npy,
    /// One black and white PNG a class, in a folder.
    Masks,
    /// COCO's JSON.
    Coco,
    /// The photo as RGBA, transparent outside the kept classes.
    Cutout,
    /// For clips, lossless FFV1 video of ids.
    Ffv1,
}
