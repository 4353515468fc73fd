//! The maths of a linear head: scores a patch from the tokens of several blocks.
//!
//! `scores = W [patch_1, cls_1, patch_2, cls_2, ...] + b` at the patch grid; a block's cls token may be joined or replaced
//! by other tokens of the whole photo, and its patch token by the means of squares around it. A 1x1 convolution commutes
//! with bilinear upsampling, so this equals convolving the upsampled features; it commutes with means over squares, so
//! these are taken of its outcome; and a photo's global tokens are the same for all its patches, so their part of the
//! product is computed once and added as a bias.

use candle_core::{Device, Tensor};

use crate::backbone::{Grid, LayerFeatures};
use crate::error::Result;
use crate::head::{HeadMeta, Scores, context};

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
        meta: &HeadMeta,
        grid: Grid,
    ) -> Result<Scores> {
        let mut scores = first_layer(self.first(), layers, meta, grid)?; // [N, outputs]
        if self.hidden.is_some() {
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

fn first_layer(
    layer: &Dense,
    layers: &[&LayerFeatures],
    meta: &HeadMeta,
    grid: Grid,
) -> Result<Tensor> {
    let device = layers[0].patch_tokens.device();
    let (weight, mut bias) = layer.tensors(device)?;
    // The patch's own part, and one of each square: sums over the blocks.
    let mut parts: Vec<Option<Tensor>> = vec![None; 1 + meta.context.len()];
    let mut at = 0;
    for found in layers {
        let patches = found.patch_tokens.squeeze(0)?; // [N, D]
        let dim = patches.dim(1)?;
        for part in &mut parts {
            let product = patches.matmul(&weight.narrow(1, at, dim)?.t()?.contiguous()?)?;
            *part = Some(match part.take() {
                Some(sum) => (sum + product)?,
                None => product,
            });
            at += dim;
        }
        for global in &meta.globals {
            let token = global.of(found)?; // [1, D]
            let part = token.matmul(&weight.narrow(1, at, dim)?.t()?.contiguous()?)?;
            bias = (bias + part.squeeze(0)?)?;
            at += dim;
        }
    }
    let mut parts = parts.into_iter().flatten();
    let mut sum = parts.next().map_or_else(|| bias.unsqueeze(0), Ok)?;
    for (part, &side) in parts.zip(&meta.context) {
        let shape = part.dims2()?;
        let values: Vec<f32> = part.flatten_all()?.to_vec1()?;
        let means = context::means(&values, shape.1, grid, side);
        sum = (sum + Tensor::from_vec(means, shape, device)?)?;
    }
    Ok(sum.broadcast_add(&bias)?)
}
