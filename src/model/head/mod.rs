//! Heads on frozen features: from tokens to depth, classes of pixels, or the class of a photo.
//!
//! [`meta`] is what a head says about itself, [`mod@file`] its bytes; [`linear`] is the maths of one linear layer (or
//! one hidden layer) a patch, [`dpt`] that of the convolutional depth head, [`classify`] that of the linear
//! classifiers. Turning scores into maps of the photo is [`postprocess`](crate::vision::postprocess)'s work.

pub mod classify;
pub mod context;
mod conv;
pub mod dpt;
pub mod file;
pub mod global_token;
pub mod linear;
pub mod meta;
pub mod upsample;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::model::backbone::{BackboneConfig, Features, LayerFeatures, LayerRequest};
use crate::model::input::Grid;

pub use dpt::DptHead;
pub use linear::{Dense, LinearHead};
pub use meta::{
    Bins, Class, DepthReadout, HeadInput, HeadMeta, HeadTask, Metric, Protocol,
    RELATIVE_INVERSE_DEPTH, Spacing, TrainingRecord,
};

/// A head as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// What it says about itself.
    pub meta: HeadMeta,
    /// Its weights.
    pub network: HeadNetwork,
}

/// The layers of a head.
#[derive(Debug, Clone, PartialEq)]
pub enum HeadNetwork {
    /// One or two fully connected layers.
    Linear(LinearHead),
    /// Convolutions over four blocks (Dense Prediction Transformer).
    Dpt(DptHead),
}

/// What a head says over a grid: scores of bins or classes, or the depth itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// `[rows * cols, k]`, row-major.
    pub values: Vec<f32>,
    /// Numbers a cell.
    pub k: usize,
    /// The cells over the padded input: the patch grid for linear heads, a finer one for others.
    pub grid: Grid,
}

/// The error of a layer within a head, which does not know its head's name.
const NOT_FINITE: &str = "a layer gave numbers that are not finite";

/// Refuses what no sound weights give, before a ReLU makes zeros of what is no number.
fn check_finite_activations(values: &Tensor) -> Result<()> {
    // One number crosses from the device; a NaN or an infinity is in it too, where it is in any of them.
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

/// Layers of a coarser look at a photo, and its grid.
type CoarseLayers<'f> = (Vec<&'f LayerFeatures>, Grid);

impl Head {
    /// Refuses a backbone that the head was not trained on: one of other weights, or for a head that names no weights
    /// (as published heads do) one that is not installed as `variant`, the row of the table it was published for.
    pub fn check_backbone(
        &self,
        model: &str,
        (variant, fingerprint): (&str, &str),
        config: &BackboneConfig,
    ) -> Result<()> {
        let HeadMeta {
            name,
            backbone: own,
            blocks,
            ..
        } = &self.meta;
        let fits = match self.meta.fingerprint.as_str() {
            "" => variant == own,
            weights => weights == fingerprint,
        };
        if !fits {
            return Err(Error::Model(format!(
                "the head {name} was trained on the backbone {own} and reads no other; {model} has other weights: leave --model out, \
                 run heads of different backbones one after the other, or get the right one (`dino models pull {own}`)"
            )));
        }
        let expected = match &self.network {
            HeadNetwork::Linear(_) => self.meta.inputs(config.dim),
            HeadNetwork::Dpt(_) => config.dim,
        };
        let reads = self.network.inputs();
        if blocks.iter().any(|&block| block >= config.depth) || reads != expected {
            return Err(Error::Model(format!(
                "the head {name} contradicts itself: it reads {reads} numbers a patch from the blocks {blocks:?}, but \
                 {own} has {} blocks of width {}",
                config.depth, config.dim
            )));
        }
        Ok(())
    }

    /// Puts the weights where they will be used, once rather than for every photo.
    pub fn to_device(mut self, device: &Device) -> Result<Self> {
        match &mut self.network {
            HeadNetwork::Linear(linear) => linear.move_to_device(device, &self.meta)?,
            HeadNetwork::Dpt(dpt) => dpt.move_to(device)?,
        }
        Ok(self)
    }

    /// Scores of one photo. `features` (batch size 1) must hold this head's layers, among others.
    ///
    /// # Errors
    /// [`Error::Model`] if they do not, or the scores are not finite; [`Error::Tensor`] if the device fails.
    pub fn scores(&self, features: &Features) -> Result<Scores> {
        let layers = self.layers(features)?;
        let within = match &self.network {
            HeadNetwork::Linear(linear) => {
                let coarse = self.coarse_layers(features)?;
                linear.scores(&layers, coarse.as_ref(), &self.meta, features.grid)
            }
            HeadNetwork::Dpt(dpt) => dpt.depths(&layers, features.grid),
        };
        let scores = within.map_err(|error| self.with_head_name(error))?;
        self.check_finite(&scores.values)?;
        Ok(scores)
    }

    /// As [`Head::scores`] for each of a batch of photos; nothing where that is no faster than one by one.
    ///
    /// # Errors
    /// If the device fails, or `features` do not hold this head's layers.
    pub fn batch_scores(&self, features: &Features) -> Result<Option<Vec<Result<Scores>>>> {
        let HeadNetwork::Linear(linear) = &self.network else {
            return Ok(None);
        };
        let (layers, coarse) = (self.layers(features)?, self.coarse_layers(features)?);
        let all = linear
            .batch_scores(&layers, coarse.as_ref(), &self.meta, features.grid)
            .map_err(|error| self.with_head_name(error))?;
        let checked = |scores: Scores| self.check_finite(&scores.values).map(|()| scores);
        Ok(all.map(|all| all.into_par_iter().map(checked).collect()))
    }

    fn with_head_name(&self, error: Error) -> Error {
        match error {
            Error::Model(why) if why == NOT_FINITE => self.not_finite_error(),
            other => other,
        }
    }

    /// Refuses what no sound weights give.
    pub(crate) fn check_finite(&self, values: &[f32]) -> Result<()> {
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(()),
            false => Err(self.not_finite_error()),
        }
    }

    fn not_finite_error(&self) -> Error {
        Error::Model(format!(
            "the head {} gave numbers that are not finite: its weights, or those of {}, are damaged or far too large; fetch \
             or train it anew (`dino models info {} --verify` looks at the backbone's)",
            self.meta.name, self.meta.backbone, self.meta.backbone
        ))
    }

    /// The layers of the coarser look, and its grid, for heads that read one.
    fn coarse_layers<'f>(&self, features: &'f Features) -> Result<Option<CoarseLayers<'f>>> {
        match (&self.meta.input.coarse, &features.coarse) {
            (None, _) => Ok(None),
            (Some(_), Some(coarse)) => Ok(Some((self.layers(coarse)?, coarse.grid))),
            (Some(_), None) => Err(Error::Model(format!(
                "the head {} reads a coarser look at the photo, and there was none",
                self.meta.name
            ))),
        }
    }

    /// The layers that this head reads, in its order.
    pub fn layers<'f>(&self, features: &'f Features) -> Result<Vec<&'f LayerFeatures>> {
        let find = |request: LayerRequest| {
            let mut layers = features.layers.iter();
            layers
                .find(|layer| layer.request == request)
                .ok_or_else(|| {
                    Error::Model(format!(
                        "block {} was not computed for {}",
                        request.block, self.meta.name
                    ))
                })
        };
        let layers: Vec<_> = self
            .meta
            .requests()
            .into_iter()
            .map(find)
            .collect::<Result<_>>()?;
        match layers.is_empty() {
            true => Err(Error::Model(format!(
                "the head {} reads no block",
                self.meta.name
            ))),
            false => Ok(layers),
        }
    }
}

impl HeadNetwork {
    /// Numbers that it reads: of a patch for a linear head, of a token for the other.
    pub fn inputs(&self) -> usize {
        match self {
            HeadNetwork::Linear(linear) => linear.input_layer().inputs,
            HeadNetwork::Dpt(dpt) => dpt.dim(),
        }
    }
}
