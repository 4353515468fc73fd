//! Principal components of patch tokens, fitted over one photo or a whole folder.
//!
//! [`Moments`] accumulates mean and covariance image by image; [`Basis`] is their eigendecomposition;
//! [`ForegroundSplit`] is the paper's first-component split; [`Projection`] is all that turns tokens into colours, and
//! is what a basis file holds. [`fit()`] makes one from the tokens in a [`TokenSpool`].

pub mod basis;
pub mod file;
pub mod fit;
pub mod foreground;
pub mod moments;
pub mod spool;

pub use basis::Basis;
pub use fit::{ForegroundRule, PcaFitOptions, fit};
pub use foreground::ForegroundSplit;
pub use moments::Moments;
pub use spool::TokenSpool;

use crate::error::{Error, Result};

/// The percentiles that become 0 and 1 of a colour channel; the tails are clipped.
pub const RANGE_PERCENTILES: (f64, f64) = (1.0, 99.0);

/// Everything that turns patch tokens into the numbers of a PCA picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// Which patches are foreground; all of them without it.
    pub foreground: Option<ForegroundSplit>,
    /// The components.
    pub basis: Basis,
    /// 0-based components to project on, in the order red, green, blue.
    pub component_indices: Vec<usize>,
    /// Whether projections are divided by their standard deviation.
    pub whiten: bool,
    /// Per shown component, the values drawn as 0 and 1.
    pub ranges: Vec<(f32, f32)>,
}

/// One photo's patches, projected.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectedPatches {
    /// `[N, k]`, one row a patch.
    pub scores: Vec<f32>,
    /// Per patch, whether it is foreground.
    pub foreground: Vec<bool>,
}

impl Projection {
    /// A projection whose ranges are still to be measured.
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

    /// Projects tokens `[N, D]`.
    ///
    /// # Errors
    /// [`Error::Model`] if what comes out is not finite, which no fit to these features gives.
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
