//! One layer's patch tokens, for the tasks that need no head.

use crate::engine::{BackbonePass, FlipViews, InputScales};
use crate::error::{Error, Result};
use crate::model::backbone::{Features, LayerRequest};
use crate::model::input::{Padding, SizeRule, Unpad};
use crate::tasks::TaskOutput;
use crate::vision::preprocess::{Preprocessor, Resample};

/// What the backbone sees if nothing is said about it.
pub const DEFAULT_SIZE: SizeRule = SizeRule::ShortSide(518);

/// A pass that gives a `layer`'s tokens of photos that are seen at `size`, in patches of `patch_size` pixels.
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

/// The block that `--layer` names of `depth` blocks of the model `name`: from 0, or from -1 at the end.
///
/// # Errors
/// [`Error::Usage`] if there is none.
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
/// If the layer was not asked for, or the device fails.
pub fn layer_tokens(features: &Features, layer: LayerRequest) -> Result<Vec<f32>> {
    let found = features.layers.iter().find(|one| one.request == layer);
    let found =
        found.ok_or_else(|| Error::Model(format!("block {} was not computed", layer.block)))?;
    Ok(found.patch_tokens.flatten_all()?.to_vec1()?)
}

/// The patch tokens of one photo's `layer`, as the output of a task without a head.
///
/// # Errors
/// As [`layer_tokens`].
pub fn token_output(features: &Features, layer: LayerRequest) -> Result<TaskOutput> {
    let tokens = layer_tokens(features, layer)?;
    Ok(TaskOutput::Tokens(tokens, features.grid))
}
