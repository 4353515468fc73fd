//! The depth part of a head's metadata: unit, readout, spread over bins; and which options and calibration apply.

use crate::error::{Error, Result};
use crate::model::head::{DepthReadout, HeadMeta, HeadTask};
use crate::model::head_zoo::DepthCalibration;
use crate::tasks::recipe::{DepthFileFormat, DepthRecipe, RangeRule};
use crate::vision::postprocess::depth::BinSpread;

/// The unit of depths that are metres.
pub const METRE: &str = "m";

/// The unit of a head's depths, such as `m`; empty for a head that is not for depth.
pub fn unit(meta: &HeadMeta) -> &str {
    match &meta.task {
        HeadTask::Depth { unit, .. } => unit,
        _ => "",
    }
}

/// How the scores of a head for depth are read: bins, a direct value, or relative inverse depth.
///
/// # Errors
/// [`Error::Model`] if the head is not for depth.
pub fn depth_readout(meta: &HeadMeta) -> Result<&DepthReadout> {
    match &meta.task {
        HeadTask::Depth { readout, .. } => Ok(readout),
        _ => Err(Error::Model(format!(
            "the head {} is not for depth; `dino heads list` names those that are",
            meta.name
        ))),
    }
}

/// How the spread over a head's bins becomes a deviation: scaled by its calibration, else unscaled.
pub fn bin_spread(meta: &HeadMeta) -> BinSpread {
    meta.calibration
        .as_ref()
        .map_or(BinSpread::Unscaled, |calibration| {
            BinSpread::Scaled(calibration.scale as f32)
        })
}

/// The error for depths that are not finite.
pub fn not_finite_error(meta: &HeadMeta) -> Error {
    Error::Model(format!(
        "the head {} gave depths that are not finite: its weights are damaged or far too large; fetch or train it anew",
        meta.name
    ))
}

/// The recipe with the scale and shift of the head's calibration, and that calibration; unless the recipe has a scale
/// of its own or ignores the calibration.
pub(super) fn apply_calibration(
    recipe: DepthRecipe,
    calibration: Option<DepthCalibration>,
) -> (DepthRecipe, Option<DepthCalibration>) {
    let calibration = calibration.filter(|_| recipe.scale.is_none() && !recipe.no_calibration);
    let (scale, shift) = match &calibration {
        Some(calibration) => (Some(calibration.scale), calibration.shift),
        None => (recipe.scale, recipe.shift),
    };
    // Outputs are the same whether a calibration was ignored or there was none.
    let recipe = DepthRecipe {
        scale,
        shift,
        no_calibration: false,
        ..recipe
    };
    (recipe, calibration)
}

/// Refuses options that need metres, for a head that gives relative inverse depth.
///
/// # Errors
/// [`Error::Usage`] that names the option.
pub(super) fn refuse_metres(recipe: &DepthRecipe, meta: &HeadMeta) -> Result<()> {
    if recipe.range == RangeRule::Head {
        return Err(Error::Usage(format!(
            "--range head: relative inverse depth, which the head {} gives, has no greatest number; auto, global and MIN,MAX \
             will do",
            meta.name
        )));
    }
    let metric = [
        (
            "--save png16",
            recipe.save.contains(&DepthFileFormat::Png16),
        ),
        ("--pointcloud", recipe.pointcloud.is_some()),
    ];
    match metric
        .iter()
        .find(|(_, wanted)| *wanted && recipe.scale.is_none())
    {
        Some((what, _)) => Err(Error::Usage(format!(
            "{what} is of metres, and the head {} gives relative inverse depth; --scale A and --shift B make 1 / (A * value + \
             B) of it, `dino calibrate depth` fits both to photos with depth, or choose a head in metres, such as \
             da2-indoor-small",
            meta.name
        ))),
        None => Ok(()),
    }
}
