//! The output of a dense head over its grid, before postprocessing, and the check of activations on the way to it.

use candle_core::Tensor;

use crate::error::{Error, Result};
use crate::model::input::PatchGrid;

/// The output of a dense head over a grid: logits of bins or classes, or the depth itself, before any softmax.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// `[rows * cols, k]`, row-major over the grid.
    pub values: Vec<f32>,
    /// Numbers per cell: bins, classes, or 1 for a depth.
    pub k: usize,
    /// The cells, which cover the padded input: the patch grid for linear heads, a finer one for DPT heads.
    pub grid: PatchGrid,
}

/// The message of an error within a head, which [`Head`](super::Head) replaces by one with its name.
pub(super) const NOT_FINITE: &str = "a layer gave numbers that are not finite";

/// Refuses activations that are not finite, which undamaged weights never give, before a ReLU turns NaN into 0.
///
/// # Errors
/// [`Error::Model`] with [`NOT_FINITE`].
pub(super) fn check_finite_activations(values: &Tensor) -> Result<()> {
    // Only the sum crosses from the device: a NaN or an infinity among the numbers is in it too.
    match values
        .flatten_all()?
        .sum_all()?
        .to_scalar::<f32>()?
        .is_finite()
    {
        true => Ok(()),
        false => Err(Error::Model(NOT_FINITE.into())),
    }
}
