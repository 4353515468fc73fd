//! Options of `dino pca`, and of all tasks that read one layer's tokens.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checks::{check_exclusive, check_photo_view, check_range};
use super::text;
use crate::analysis::pca::ForegroundRule;
use crate::model::input::SizeRule;
use crate::tasks::inference::layer;
use crate::vision::render::Upscale;

/// The layer whose patch tokens are used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LayerRecipe {
    /// The size of photos in the backbone's input; the short side at 518 by default.
    #[serde(with = "text::value")]
    pub size: SizeRule,
    /// The block, from 0, or from -1 at the end; the last by default.
    pub layer: i64,
    /// Whether tokens are taken without the backbone's final norm.
    pub no_norm: bool,
}

impl Default for LayerRecipe {
    fn default() -> Self {
        LayerRecipe {
            size: layer::DEFAULT_SIZE,
            layer: -1,
            no_norm: false,
        }
    }
}

/// Principal components of the patch tokens, as colours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PcaRecipe {
    /// The layer.
    #[serde(flatten)]
    pub layer: LayerRecipe,
    /// Whether each photo has a fit of its own, instead of one for all.
    pub fit_each: bool,
    /// Components, from 1, that are shown as red, green and blue.
    pub components: Vec<usize>,
    /// Whether each component is divided by its standard deviation.
    pub whiten: bool,
    /// Which patches are foreground: all, an automatic choice, or those above a score on the first component.
    #[serde(with = "text::value")]
    pub foreground: ForegroundRule,
    /// The file of an earlier fit, which replaces one of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<PathBuf>,
    /// The file that the fit is saved to; not kept in recipe files.
    #[serde(skip)]
    pub save_basis: Option<PathBuf>,
    /// How colours between patch centres are interpolated.
    pub upscale: Upscale,
    /// Whether components are fitted to the photo's edges; the photo is then resized to whole patches, not padded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refine: bool,
    /// Whether the photo lies beside the picture.
    pub side_by_side: bool,
    /// Opacity, from 0 to 1, of the colours over the photo; `None` for colours alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<f32>,
    /// Whether the scores on the components are written as `.npy`.
    pub raw: bool,
}

impl PcaRecipe {
    /// Refuses values outside their ranges, and settings that contradict each other.
    pub(super) fn check(&self) -> Result<(), String> {
        check_photo_view(self.side_by_side, self.overlay)?;
        let usual = PcaRecipe::default();
        let is_nearest = self.upscale != usual.upscale;
        check_exclusive(
            &[("refine", self.refine), ("upscale", is_nearest)],
            "do not go together: what is fitted to the photo is smooth",
        )?;
        let is_saved = self.basis.is_some();
        for (name, differs) in [
            ("fit-each", self.fit_each),
            ("whiten", self.whiten != usual.whiten),
            ("foreground", self.foreground != usual.foreground),
            ("components", self.components != usual.components),
            ("layer", self.layer.layer != usual.layer.layer),
            ("no-norm", self.layer.no_norm),
        ] {
            check_exclusive(
                &[("basis", is_saved), (name, differs)],
                "do not go together: a saved fit has its own",
            )?;
        }
        check_range("overlay", self.overlay.unwrap_or(0.0), 0.0..=1.0)?;
        match !self.components.is_empty() && self.components.iter().all(|&one| one >= 1) {
            true => Ok(()),
            false => Err(format!(
                "`components = {:?}`: expected numbers from 1, such as [1, 2, 3]",
                self.components
            )),
        }
    }
}

impl Default for PcaRecipe {
    fn default() -> Self {
        PcaRecipe {
            layer: LayerRecipe::default(),
            fit_each: false,
            components: vec![1, 2, 3],
            whiten: false,
            foreground: ForegroundRule::All,
            basis: None,
            save_basis: None,
            upscale: Upscale::Bilinear,
            refine: false,
            side_by_side: false,
            overlay: None,
            raw: false,
        }
    }
}
