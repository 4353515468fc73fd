//! What `dino pca` makes of photos.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checks::{check_exclusive, check_photo_view, check_range};
use super::text;
use crate::analysis::pca::ForegroundRule;
use crate::model::input::SizeRule;
use crate::tasks::inference::layer;
use crate::vision::render::Upscale;

/// Which patch tokens are used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LayerRecipe {
    /// What the backbone sees.
    #[serde(with = "text::value")]
    pub size: SizeRule,
    /// The block, from 0; -1 is the last.
    pub layer: i64,
    /// Whether the final norm is left out.
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
    /// Of which tokens.
    #[serde(flatten)]
    pub layer: LayerRecipe,
    /// Whether each photo has a fit of its own.
    pub fit_each: bool,
    /// Components to show as red, green and blue, from 1.
    pub components: Vec<usize>,
    /// Whether each is divided by its standard deviation.
    pub whiten: bool,
    /// Patches that count: none, auto, or those above a score on the first component.
    #[serde(with = "text::value")]
    pub foreground: ForegroundRule,
    /// A fit that was saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<PathBuf>,
    /// Where the fit is saved; a matter of one run.
    #[serde(skip)]
    pub save_basis: Option<PathBuf>,
    /// Between patch centres.
    pub upscale: Upscale,
    /// Whether the components are fitted to the photo's edges, and the photo is resized to whole patches.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refine: bool,
    /// Whether the photo lies beside the picture.
    pub side_by_side: bool,
    /// Opacity of the picture over the photo, if it lies over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<f32>,
    /// Whether the projections are written too.
    pub raw: bool,
}

impl PcaRecipe {
    /// Refuses numbers that mean nothing.
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
