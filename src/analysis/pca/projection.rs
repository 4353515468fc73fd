//! A fitted [`Projection`]: from patch tokens to the numbers that are drawn as colours.

use crate::analysis::pca::basis::Basis;
use crate::analysis::pca::foreground::ForegroundSplit;
use crate::error::{Error, Result};

/// The percentiles of a component's scores that are drawn as 0 and 1 of a colour channel; the tails are clipped.
pub const RANGE_PERCENTILES: (f64, f64) = (1.0, 99.0);

/// Everything that turns patch tokens into the numbers of a PCA picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// The split into foreground and background; without it, all patches are foreground.
    pub foreground: Option<ForegroundSplit>,
    /// The principal components.
    pub basis: Basis,
    /// 0-based components to project on, in the order red, green, blue.
    pub component_indices: Vec<usize>,
    /// Whether scores are divided by the standard deviation along their component.
    pub whiten: bool,
    /// Per shown component, the scores that are drawn as 0 and 1.
    pub ranges: Vec<(f32, f32)>,
}

/// The patches of one photo after projection.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectedPatches {
    /// Scores, `[N, k]`: one row per patch, one column per shown component.
    pub scores: Vec<f32>,
    /// Whether a patch is foreground, `[N]`.
    pub foreground: Vec<bool>,
}

impl Projection {
    /// A projection on the components `shown` (0-based) of `basis`, whose ranges are 0 to 1 until they are measured.
    ///
    /// # Errors
    /// [`Error::Usage`] if `basis` has fewer components than `shown` names.
    pub fn new(
        foreground: Option<ForegroundSplit>,
        basis: Basis,
        shown: Vec<usize>,
        whiten: bool,
    ) -> Result<Self> {
        if let Some(&missing) = shown.iter().find(|&&index| index >= basis.variances.len()) {
            return Err(Error::Usage(format!(
                "--components: component {} was asked for, but there are only {}",
                missing + 1,
                basis.variances.len()
            )));
        }
        let ranges = vec![(0.0, 1.0); shown.len()];
        Ok(Self {
            foreground,
            basis,
            component_indices: shown,
            whiten,
            ranges,
        })
    }

    /// Projects the tokens `[N, D]` of one photo.
    ///
    /// # Errors
    /// [`Error::Model`] if the scores are not finite: the basis is damaged, or was fitted to other features.
    pub fn project(&self, tokens: &[f32]) -> Result<ProjectedPatches> {
        let scores = self
            .basis
            .project(tokens, &self.component_indices, self.whiten);
        let foreground = match &self.foreground {
            Some(split) => split.mask(tokens),
            None => vec![true; tokens.len() / self.basis.dim()],
        };
        match scores.iter().all(|score| score.is_finite()) {
            true => Ok(ProjectedPatches { scores, foreground }),
            false => Err(Error::Model(
                "the projections are not finite, so the basis is damaged, or of other features; fit it anew with \
                 --save-basis"
                    .into(),
            )),
        }
    }
}
