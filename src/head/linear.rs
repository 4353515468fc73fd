//! The maths of a head: scores a patch from the tokens of several blocks.
//!
//! `scores = W [patch_1, cls_1, patch_2, cls_2, ...] + b` at the patch grid. A 1x1 convolution commutes with bilinear
//! upsampling, so this equals convolving the upsampled features; and a photo's cls tokens are the same for all its
//! patches, so their half of the product is computed once and added as a bias.

use candle_core::{Device, Tensor};

use crate::backbone::{Backbone, Features, Grid};
use crate::error::{Error, Result};
use crate::head::meta::HeadMeta;

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
}

/// A head as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// What it says about itself.
    pub meta: HeadMeta,
    /// A hidden layer with ReLU, in heads that are not linear.
    pub hidden: Option<Dense>,
    /// The last layer.
    pub output: Dense,
}

/// Scores over the patch grid of one photo.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// `[rows * cols, k]`, row-major.
    pub values: Vec<f32>,
    /// Scores a patch.
    pub k: usize,
    /// The patch grid.
    pub grid: Grid,
}

impl Head {
    /// Refuses a backbone that the head was not trained on.
    pub fn check(&self, model: &str, fingerprint: &str, backbone: &Backbone) -> Result<()> {
        let HeadMeta {
            name,
            backbone: own,
            blocks,
            ..
        } = &self.meta;
        if self.meta.fingerprint != fingerprint {
            return Err(Error::Model(format!(
                "the head {name} was trained on the backbone {own} and reads no other; {model} has other weights \
                 (`dino models pull {own}` gets the right one)"
            )));
        }
        let config = backbone.config();
        let first = self.hidden.as_ref().unwrap_or(&self.output);
        if blocks.iter().any(|&block| block >= config.depth)
            || first.inputs != self.meta.inputs(config.dim)
        {
            return Err(Error::Model(format!(
                "the head {name} contradicts itself: it reads {} numbers a patch from the blocks {blocks:?}, but {own} \
                 has {} blocks of width {}",
                first.inputs, config.depth, config.dim
            )));
        }
        Ok(())
    }

    /// Scores of one photo. `features` (batch size 1) must hold this head's layers, among others.
    pub fn scores(&self, features: &Features) -> Result<Scores> {
        let first = self.hidden.as_ref().unwrap_or(&self.output);
        let mut scores = self.first_layer(first, features)?; // [N, outputs]
        if self.hidden.is_some() {
            let (weight, bias) = tensors(&self.output, scores.device())?;
            scores = scores.relu()?.matmul(&weight.t()?)?.broadcast_add(&bias)?;
        }
        Ok(Scores {
            values: scores.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?,
            k: self.output.outputs(),
            grid: features.grid,
        })
    }

    fn first_layer(&self, layer: &Dense, features: &Features) -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        let mut at = 0;
        let device = features.layers[0].patch_tokens.device().clone();
        let (weight, mut bias) = tensors(layer, &device)?;
        for request in self.meta.requests() {
            let Some(found) = features
                .layers
                .iter()
                .find(|layer| layer.request == request)
            else {
                return Err(Error::Model(format!(
                    "block {} was not computed for {}",
                    request.block, self.meta.name
                )));
            };
            let patches = found.patch_tokens.squeeze(0)?; // [N, D]
            let dim = patches.dim(1)?;
            let part = patches.matmul(&weight.narrow(1, at, dim)?.t()?.contiguous()?)?;
            sum = Some(match sum {
                Some(sum) => (sum + part)?,
                None => part,
            });
            at += dim;
            if self.meta.cls {
                let cls = found
                    .cls_token
                    .matmul(&weight.narrow(1, at, dim)?.t()?.contiguous()?)?; // [1, outputs]
                bias = (bias + cls.squeeze(0)?)?;
                at += dim;
            }
        }
        let sum =
            sum.ok_or_else(|| Error::Model(format!("the head {} reads no block", self.meta.name)))?;
        Ok(sum.broadcast_add(&bias)?)
    }
}

fn tensors(layer: &Dense, device: &Device) -> Result<(Tensor, Tensor)> {
    let weight = Tensor::from_slice(&layer.weight, (layer.outputs(), layer.inputs), device)?;
    Ok((
        weight,
        Tensor::from_slice(&layer.bias, layer.outputs(), device)?,
    ))
}
