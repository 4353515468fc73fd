//! Whether a photo shows a room, by its cls token: a logistic regression in `heads/scene.safetensors`, trained on
//! photos of rooms against landscapes, streets and facades (`heads/README.md`). Metres of a head trained indoors are
//! wrong outdoors.

use std::collections::HashMap;

use safetensors::SafeTensors;

use crate::error::Result;
use crate::model::backbone::{Features, LayerRequest};

const FILE: &[u8] = include_bytes!("../../../heads/scene.safetensors");

/// A classifier of photos as indoors or outdoors, by the cls token of one backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneClassifier {
    weight: Vec<f32>,
    bias: f32,
    layer: LayerRequest,
    /// Fingerprint of the backbone's weights that it was trained on.
    fingerprint: String,
}

impl SceneClassifier {
    /// The classifier inside the program, if it was trained on the weights with this `fingerprint`.
    pub fn of_weights(fingerprint: &str) -> Option<Self> {
        let classifier = Self::read(FILE)?;
        (classifier.fingerprint == fingerprint).then_some(classifier)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
        let facts: &HashMap<String, String> = header.metadata().as_ref()?;
        let tensors = SafeTensors::deserialize(bytes).ok()?;
        let numbers = |name: &str| -> Option<Vec<f32>> {
            let (numbers, rest) = tensors.tensor(name).ok()?.data().as_chunks::<4>();
            rest.is_empty().then(|| {
                numbers
                    .iter()
                    .map(|bytes| f32::from_le_bytes(*bytes))
                    .collect()
            })
        };
        Some(SceneClassifier {
            weight: numbers("weight")?,
            bias: *numbers("bias")?.first()?,
            layer: LayerRequest {
                block: facts.get("block")?.parse().ok()?,
                norm: facts.get("norm")?.parse().ok()?,
            },
            fingerprint: facts.get("fingerprint")?.clone(),
        })
    }

    /// Whether the layer that it reads is among those `requested`, so that it needs no pass of its own.
    pub fn reads_one_of(&self, requested: &[LayerRequest]) -> bool {
        requested.contains(&self.layer)
    }

    /// The probability, 0 to 1, that each photo of the batch shows a room; empty where its layer is not among the
    /// features.
    ///
    /// # Errors
    /// If the device fails.
    pub fn probabilities(&self, features: &Features) -> Result<Vec<f32>> {
        let mut layers = features.layers.iter();
        let Some(layer) = layers.find(|layer| layer.request == self.layer) else {
            return Ok(Vec::new());
        };
        let tokens = layer
            .cls_token
            .to_dtype(candle_core::DType::F32)?
            .to_vec2::<f32>()?;
        Ok(tokens.iter().map(|token| self.probability(token)).collect())
    }

    fn probability(&self, token: &[f32]) -> f32 {
        let products = self.weight.iter().zip(token);
        let sum: f64 = products.map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
        (1.0 / (1.0 + (-sum - f64::from(self.bias)).exp())) as f32
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::head_zoo::builtin;

    #[test]
    fn it_is_for_the_backbone_of_the_head_for_rooms_and_reads_what_that_reads() {
        let mut heads = builtin::all();
        let indoor = heads
            .find(|(name, _)| *name == "indoor")
            .unwrap()
            .1
            .unwrap();
        let classifier = SceneClassifier::of_weights(&indoor.meta.fingerprint).unwrap();
        assert!(classifier.reads_one_of(&indoor.meta.requests()));
        assert_eq!(classifier.weight.len(), 384);
        assert_eq!(SceneClassifier::of_weights("others"), None);
        let zero = classifier.probability(&[0.0; 384]);
        assert!((zero - 1.0 / (1.0 + (-classifier.bias).exp())).abs() < 1e-6);
    }
}
