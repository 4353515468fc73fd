//! What `dino segment` makes of a photo, with a head or with clusters.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checks::{check_exclusive, check_range};
use super::{HeadRecipe, text};
use crate::analysis::cluster::ClusterCount;
use crate::model::input::SizeRule;
use crate::tasks::inference::layer;
use crate::vision::postprocess::MinArea;

/// Labels of a head.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SegmentRecipe {
    /// The head.
    #[serde(flatten)]
    pub head: HeadRecipe,
    /// What is drawn and written.
    #[serde(flatten)]
    pub labels: LabelRecipe,
}

/// Labels of clusters of the last block's patch tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClustersRecipe {
    /// How many.
    #[serde(with = "text::value")]
    pub clusters: ClusterCount,
    /// Clusters that were saved, in place of new ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codebook: Option<PathBuf>,
    /// Where the clusters are saved; a matter of one run.
    #[serde(skip)]
    pub save_codebook: Option<PathBuf>,
    /// What the backbone sees.
    #[serde(with = "text::value")]
    pub size: SizeRule,
    /// Whether borders are fitted to the photo; they are if nothing is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refine: Option<bool>,
    /// What is drawn and written.
    #[serde(flatten)]
    pub labels: LabelRecipe,
}

impl SegmentRecipe {
    /// Refuses numbers that mean nothing.
    pub(super) fn check(&self) -> Result<(), String> {
        self.head.check()?;
        self.labels.check()
    }
}

impl ClustersRecipe {
    /// Refuses numbers that mean nothing.
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

/// What is drawn and written of labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LabelRecipe {
    /// Names of the classes that are shown; all if none are given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// The probability that a pixel's class has at least, from 0 to 1; pixels below it have no class, in the picture and in
    /// files. If nothing is given, files have every pixel's class, and only the picture leaves out what is unsure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<f32>,
    /// Opacity of the colours over the photo, from 0 to 1.
    pub alpha: f32,
    /// Whether the colours stand alone.
    pub mask_only: bool,
    /// Whether the photo lies beside the picture.
    pub side_by_side: bool,
    /// Whether borders are drawn.
    pub outline: bool,
    /// Whether names are left out.
    pub no_names: bool,
    /// Whether the legend is left out.
    pub no_legend: bool,
    /// A font for names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub font: Option<PathBuf>,
    /// Exact labels in files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub save: Vec<LabelFileFormat>,
    /// Whether a cutout is cropped.
    pub crop: bool,
    /// One COCO document of all photos; a matter of one run.
    #[serde(skip)]
    pub coco: Option<PathBuf>,
    /// Whether COCO documents hold polygons.
    pub coco_polygons: bool,
    /// Whether connected regions are listed.
    pub regions: bool,
    /// Regions that are left out.
    pub min_region: MinArea,
    /// Whether a map of confidence is written.
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

/// Formats of exact labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelFileFormat {
    /// Indexed PNG with the classes' colours.
    Ids,
    /// NumPy array of ids.
    Npy,
    /// One black and white PNG a class, in a folder.
    Masks,
    /// COCO's JSON.
    Coco,
    /// The photo with all but the kept classes transparent.
    Cutout,
    /// Of clips, lossless video of ids.
    Ffv1,
}
