//! Heads on frozen features: from the tokens of a backbone to depth, classes of pixels, or the class of a photo.
//!
//! In: [`Features`] with the layers that [`HeadMeta::requests`] names. Out: [`Scores`] over a grid, or one score per
//! class for a whole photo. [`postprocess`](crate::vision::postprocess) turns scores into maps of the photo.
//!
//! [`meta`] is the metadata in a head's file, [`readout`] how a depth head's numbers become depths, [`protocol`] the
//! published ways to run heads, `check` what makes metadata invalid, and [`mod@file`] the file itself. [`linear`] is
//! one linear layer (or one hidden layer) per patch, as DINOv2's `BNHead`; its extra inputs are in [`context`],
//! [`global_token`] and [`upsample`]. [`dpt`] is the convolutional depth head, with its convolutions in `conv` and its
//! weights in `dpt_tensors`. [`classify`] is the linear classifier of photos.

mod check;
pub mod classify;
pub mod context;
mod conv;
pub mod dpt;
mod dpt_tensors;
pub mod file;
pub mod global_token;
pub mod linear;
pub mod meta;
pub mod protocol;
pub mod readout;
pub mod scores;
pub mod upsample;

use candle_core::Device;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::model::backbone::{BackboneConfig, Features, LayerFeatures, LayerRequest};
use crate::model::head::linear::CoarseLayers;
use crate::model::head::scores::NOT_FINITE;

pub use dpt::DptHead;
pub use linear::{Dense, LinearHead};
pub use meta::{Class, HeadInput, HeadMeta, HeadTask, Metric, TrainingRecord};
pub use protocol::Protocol;
pub use readout::{Bins, DepthReadout, RELATIVE_INVERSE_DEPTH, Spacing};
pub use scores::Scores;

/// A head: its metadata and its weights, as stored in one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Task, backbone, layers, input and origin.
    pub meta: HeadMeta,
    /// The layers with their weights.
    pub network: HeadNetwork,
}

/// The layers of a head.
#[derive(Debug, Clone, PartialEq)]
pub enum HeadNetwork {
    /// One or two fully connected layers.
    Linear(LinearHead),
    /// Convolutions over four blocks (Dense Prediction Transformer), for depth.
    Dpt(DptHead),
}

impl Head {
    /// Refuses a backbone that the head was not trained on. `model` is the backbone's name on the command line,
    /// `variant` the row of the table it is installed as, and `fingerprint` that of its tensors. A head that names no
    /// fingerprint, as published heads do, takes any weights of its variant.
    ///
    /// # Errors
    /// [`Error::Model`] for other weights, and for a head that does not fit the shape of its own backbone.
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

    /// Copies the weights to the device where they will be used, once instead of for every photo.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the device has not enough memory.
    pub fn to_device(mut self, device: &Device) -> Result<Self> {
        match &mut self.network {
            HeadNetwork::Linear(linear) => linear.move_to_device(device, &self.meta)?,
            HeadNetwork::Dpt(dpt) => dpt.move_to(device)?,
        }
        Ok(self)
    }

    /// The scores of one photo. `features` (batch size 1) must contain this head's layers.
    ///
    /// # Errors
    /// [`Error::Model`] if a layer is missing, or the scores are not finite; [`Error::Tensor`] if the device fails.
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

    /// As [`Head::scores`] for each photo of a batch. `None` where that is no faster than one by one, as for DPT heads
    /// and heads with a hidden layer.
    ///
    /// # Errors
    /// If the device fails, or a layer is missing. Scores that are not finite are an error of their photo alone.
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

    /// The error of a layer, with the head's name where it is about numbers that are not finite.
    fn with_head_name(&self, error: Error) -> Error {
        match error {
            Error::Model(why) if why == NOT_FINITE => self.not_finite_error(),
            other => other,
        }
    }

    /// Refuses scores that are not finite, which undamaged weights never give.
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

    /// The layers of the coarse scale, and its grid, for heads that read one.
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

    /// The layers that this head reads, in the order of [`HeadMeta::requests`].
    ///
    /// # Errors
    /// [`Error::Model`] if one of them is not in `features`, or the head reads none.
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
    /// Width of the input: numbers per patch for a linear head, width of a token (D) for a DPT head.
    pub fn inputs(&self) -> usize {
        match self {
            HeadNetwork::Linear(linear) => linear.input_layer().inputs,
            HeadNetwork::Dpt(dpt) => dpt.dim(),
        }
    }
}
