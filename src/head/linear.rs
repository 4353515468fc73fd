//! The maths of a linear head: scores a patch from the tokens of several blocks.
//!
//! `scores = W [patch_1, cls_1, patch_2, cls_2, ...] + b` at the patch grid; a block's cls token may be joined or replaced
//! by other tokens of the whole photo, and its patch token by the means of squares around it and by the token of a coarser
//! look at the same place. A 1x1 convolution commutes with bilinear upsampling, so this equals convolving the upsampled
//! features, and a coarser look's part is stretched after it; it commutes with means over squares, so these are taken of
//! its outcome; and a photo's global tokens are the same for all its patches, so their part of the product is computed
//! once and added as a bias.

use candle_core::{Device, Tensor};

use crate::backbone::{Grid, LayerFeatures};
use crate::error::Result;
use crate::head::coarse::Stretch;
use crate::head::globals::GlobalToken;
use crate::head::{CoarseLayers, HeadMeta, Scores, check_layer, context};

/// One fully connected layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Width of its input.
    pub inputs: usize,
    /// `[outputs, inputs]`, row-major.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

impl Dense {
    /// Width of its output.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Weight `[outputs, inputs]` and bias `[outputs]` on a device.
    pub(super) fn tensors(&self, device: &Device) -> Result<(Tensor, Tensor)> {
        let weight = Tensor::from_slice(&self.weight, (self.outputs(), self.inputs), device)?;
        Ok((
            weight,
            Tensor::from_slice(&self.bias, self.outputs(), device)?,
        ))
    }
}

/// The layers of a linear head.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// A hidden layer with ReLU, in heads that are not linear after all.
    pub hidden: Option<Dense>,
    /// The last layer.
    pub output: Dense,
}

impl Linear {
    /// The layer that reads the tokens.
    pub fn first(&self) -> &Dense {
        self.hidden.as_ref().unwrap_or(&self.output)
    }

    /// Scores of every patch; what `meta` names of context and global tokens follows the patch token of each layer.
    pub(super) fn scores(
        &self,
        layers: &[&LayerFeatures],
        coarse: Option<&CoarseLayers<'_>>,
        meta: &HeadMeta,
        grid: Grid,
    ) -> Result<Scores> {
        let mut scores = first_layer(self.first(), layers, coarse, meta, grid)?; // [N, outputs]
        if self.hidden.is_some() {
            check_layer(&scores)?;
            let (weight, bias) = self.output.tensors(scores.device())?;
            scores = scores.relu()?.matmul(&weight.t()?)?.broadcast_add(&bias)?;
        }
        Ok(Scores {
            values: scores.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?,
            k: self.output.outputs(),
            grid,
        })
    }
}

/// `[N, outputs]`: what the first layer makes of every patch.
fn first_layer(
    layer: &Dense,
    layers: &[&LayerFeatures],
    coarse: Option<&CoarseLayers<'_>>,
    meta: &HeadMeta,
    grid: Grid,
) -> Result<Tensor> {
    let device = layers[0].patch_tokens.device();
    let (weight, bias) = layer.tensors(device)?;
    // A patch's own part and one of each square, side by side: one product a block makes them all.
    let (outputs, parts) = (layer.outputs(), 1 + meta.context.len());
    let mut of_patches: Option<Tensor> = None; // [N, outputs * parts]
    let mut of_coarse: Option<Tensor> = None; // [cells, outputs]
    let mut of_photo = bias.unsqueeze(0)?; // [1, outputs]
    let mut at = 0;
    for (index, found) in layers.iter().enumerate() {
        let patches = found.patch_tokens.squeeze(0)?; // [N, D]
        let dim = patches.dim(1)?;
        let own = weight.narrow(1, at, parts * dim)?.contiguous()?;
        let product = patches.matmul(&own.reshape((outputs * parts, dim))?.t()?)?;
        of_patches = Some(sum(of_patches, product)?);
        at += parts * dim;
        if let Some((layers, _)) = coarse {
            let cells = layers[index].patch_tokens.squeeze(0)?; // [cells, D]
            let own = weight.narrow(1, at, dim)?.contiguous()?;
            of_coarse = Some(sum(of_coarse, cells.matmul(&own.t()?)?)?);
            at += dim;
        }
        if meta.globals.is_empty() {
            continue;
        }
        let tokens = GlobalToken::all_of(&meta.globals, found)?; // [1, globals * D]
        let own = weight.narrow(1, at, tokens.dim(1)?)?.contiguous()?;
        of_photo = (of_photo + tokens.matmul(&own.t()?)?)?;
        at += tokens.dim(1)?;
    }
    let Some(of_patches) = of_patches else {
        return Ok(of_photo);
    };
    let sum = match (of_coarse, coarse) {
        (None, _) if meta.context.is_empty() => of_patches,
        (of_coarse, coarse) => {
            let values: Vec<f32> = of_patches.flatten_all()?.to_vec1()?;
            let mut sum = with_squares(values, outputs, &meta.context, grid);
            if let (Some(of_coarse), Some((_, cells))) = (of_coarse, coarse) {
                let values: Vec<f32> = of_coarse.flatten_all()?.to_vec1()?;
                Stretch::new(*cells, grid).add(&values, outputs, &mut sum);
            }
            Tensor::from_vec(sum, (grid.len(), outputs), device)?
        }
    };
    Ok(sum.broadcast_add(&of_photo)?)
}

/// `part` added to what there is.
fn sum(all: Option<Tensor>, part: Tensor) -> Result<Tensor> {
    Ok(match all {
        Some(sum) => (sum + part)?,
        None => part,
    })
}

/// Adds the means over squares of `sides` to every patch's own part. `values` are `[N, outputs, 1 + sides]`: the own
/// part of each output, then those that the means are taken of.
fn with_squares(values: Vec<f32>, outputs: usize, sides: &[usize], grid: Grid) -> Vec<f32> {
    if sides.is_empty() {
        return values;
    }
    let parts = 1 + sides.len();
    let part = |index: usize| -> Vec<f32> {
        let of_part = values.iter().skip(index).step_by(parts);
        of_part.copied().collect()
    };
    let mut sum = part(0);
    for (at, &side) in sides.iter().enumerate() {
        context::add_means(&mut sum, &part(1 + at), outputs, grid, side);
    }
    sum
}
