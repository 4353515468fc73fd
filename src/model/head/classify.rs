//! The linear classifiers of DINOv2 (`dinov2/hub/classifiers.py` in facebookresearch/dinov2): one score per class for a
//! whole photo.
//!
//! The input is `[cls_1, ..., cls_n, mean of the patch tokens of the last block]`, all after the final LayerNorm.

use candle_core::{D, Device, Tensor};

use crate::error::{Error, Result};
use crate::model::backbone::Features;
use crate::model::head::{Head, HeadNetwork};

impl Head {
    /// The scores of the classes of one photo, before any softmax: `[classes]`. `features` (batch size 1) must contain
    /// this head's layers.
    ///
    /// # Errors
    /// [`Error::Model`] if the head is not a linear one, a layer is missing, or the scores are not finite;
    /// [`Error::Tensor`] if the device fails.
    pub fn classify(&self, features: &Features) -> Result<Vec<f32>> {
        let HeadNetwork::Linear(linear) = &self.network else {
            return Err(Error::Model(format!(
                "the head {} is not for whole photos",
                self.meta.name
            )));
        };
        let layers = self.layers(features)?;
        let mut parts: Vec<Tensor> = layers.iter().map(|layer| layer.cls_token.clone()).collect();
        if let Some(last) = layers.last() {
            parts.push(last.patch_tokens.mean(1)?);
        }
        let input = Tensor::cat(&parts, D::Minus1)?; // [1, (n + 1) D]
        let (weight, bias) = linear.output.tensors(input.device())?;
        let scores = input.matmul(&weight.t()?)?.broadcast_add(&bias)?;
        let scores: Vec<f32> = scores.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?;
        self.check_finite(&scores)?;
        Ok(scores)
    }
}
