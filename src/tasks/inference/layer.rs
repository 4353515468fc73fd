//! The pass and the patch tokens of one layer, for tasks and commands without a head.

use crate::engine::{BackbonePass, FlipViews, InputScales};
use crate::error::{Error, Result};
use crate::model::backbone::{Features, LayerRequest};
use crate::model::input::{Padding, SizeRule, Unpad};
use crate::tasks::TaskOutput;
use crate::vision::preprocess::{Preprocessor, Resample};

/// The size of photos in the backbone's input without `--size`: the short side at 518 pixels, 37 patches of 14.
pub const DEFAULT_SIZE: SizeRule = SizeRule::ShortSide(518);

/// The pass that yields the tokens of `layer`, of photos that are resized to `size` and padded to whole patches of
/// `patch_size` pixels.
pub fn layer_pass(layer: LayerRequest, size: SizeRule, patch_size: usize) -> BackbonePass {
    BackbonePass {
        preprocessor: Preprocessor {
            size,
            resample: Resample::Bicubic,
            patch_size,
            padding: Padding::Center,
            unpad: Unpad::Crop,
            max_patches: None,
            center_crop: None,
        },
        requests: vec![layer],
        views: FlipViews::Plain,
        scales: InputScales::Full,
    }
}

/// The block, from 0, that `--layer` names among the `depth` blocks of the model `name`; negative numbers count from
/// the end, with -1 as the last.
///
/// # Errors
/// [`Error::Usage`] if the model has no such block.
pub fn resolve_block(layer: i64, depth: usize, name: &str) -> Result<usize> {
    let count = depth as i64;
    let index = if layer < 0 { count + layer } else { layer };
    match usize::try_from(index) {
        Ok(block) if index < count => Ok(block),
        _ => Err(Error::Usage(format!(
            "--layer {layer}: {name} has blocks 0 to {} (or -{count} to -1 from the end)",
            count - 1
        ))),
    }
}

/// The patch tokens of one photo's `layer`, `[rows * cols, D]`.
///
/// # Errors
/// If the layer was not requested, or the device fails.
pub fn layer_tokens(features: &Features, layer: LayerRequest) -> Result<Vec<f32>> {
    let computed = features.layers.iter().find(|one| one.request == layer);
    let computed =
        computed.ok_or_else(|| Error::Model(format!("block {} was not computed", layer.block)))?;
    Ok(computed.patch_tokens.flatten_all()?.to_vec1()?)
}

/// The patch tokens of one photo's `layer`, as the output of a task without a head.
///
/// # Errors
/// As [`layer_tokens`].
pub fn token_output(features: &Features, layer: LayerRequest) -> Result<TaskOutput> {
    let tokens = layer_tokens(features, layer)?;
    Ok(TaskOutput::Tokens(tokens, features.grid))
}
