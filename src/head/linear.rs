//! The maths of a linear head: scores a patch from the tokens of several blocks.
//!
//! `scores = W [patch_1, cls_1, patch_2, cls_2, ...] + b` at the patch grid; a block's cls token may be joined or replaced
//! by other tokens of the whole photo. A 1x1 convolution commutes with bilinear upsampling, so this equals convolving
//! the upsampled features; and a photo's global tokens are the same for all its patches, so their part of the product is
//! computed once and added as a bias.

use candle_core::{Device, Tensor};

use crate::backbone::{Grid, LayerFeatures};
use crate::error::Result;
use crate::head::Scores;
use crate::head::globals::GlobalToken;

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

    /// Scores of every patch; the `globals` of each layer follow its patch token.
    pub(super) fn scores(
        &self,
        layers: &[&LayerFeatures],
        globals: &[GlobalToken],
        grid: Grid,
    ) -> Result<Scores> {
        let mut scores = first_layer(self.first(), layers, globals)?; // [N, outputs]
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
    globals: &[GlobalToken],
) -> Result<Tensor> {
    let (weight, mut bias) = layer.tensors(layers[0].patch_tokens.device())?;
    let mut sum: Option<Tensor> = None;
    let mut at = 0;
    for found in layers {
        let patches = found.patch_tokens.squeeze(0)?; // [N, D]
        let dim = patches.dim(1)?;
        let part = patches.matmul(&weight.narrow(1, at, dim)?.t()?.contiguous()?)?;
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
        at += dim;
        for global in globals {
            let token = global.of(found)?; // [1, D]
            let part = token.matmul(&weight.narrow(1, at, dim)?.t()?.contiguous()?)?;
            bias = (bias + part.squeeze(0)?)?;
            at += dim;
        }
    }
    let sum = sum.map_or_else(|| bias.unsqueeze(0), Ok)?;
    Ok(sum.broadcast_add(&bias)?)
}
