//! Where one shot of a clip ends and the next begins: where the mean patch tokens of two frames in a row point in
//! different directions.

use crate::backbone::{Features, Grid, LayerRequest};
use crate::engine::{Pass, Seen, SeenBatch, Views};
use crate::error::{Error, Result};
use crate::preprocess::Geometry;
use crate::tasks::{Finder, Found, Way};

/// Two frames in a row are of two shots if the cosine of their mean patch tokens is below this.
pub const CUT_BELOW: f32 = 0.75;

/// Finds the mean patch token of a frame, as the last block's final norm leaves them.
pub struct CutFinder {
    way: Way,
    layer: LayerRequest,
}

impl CutFinder {
    /// In what the backbone, of so many blocks, gives for `pass`, which is for something else.
    pub fn beside(pass: &Pass, depth: usize) -> Self {
        let layer = LayerRequest {
            block: depth - 1,
            norm: true,
        };
        CutFinder {
            way: Way::AtOnce(Pass {
                requests: vec![layer],
                views: Views::Plain,
                ..pass.clone()
            }),
            layer,
        }
    }

    /// The means of the photos of a batch.
    fn means(&self, features: &Features) -> Result<Vec<Vec<f32>>> {
        let mut layers = features.layers.iter();
        let found = layers.find(|one| one.request == self.layer);
        let found = found.ok_or_else(|| Error::Model("the last block was not computed".into()))?;
        let tokens = found.patch_tokens.to_dtype(candle_core::DType::F32)?;
        Ok(tokens.mean(1)?.to_vec2()?)
    }
}

impl Finder for CutFinder {
    fn way(&self) -> &Way {
        &self.way
    }

    fn memory(&self, _: &Geometry) -> u64 {
        0
    }

    fn needs_photo(&self) -> bool {
        false
    }

    fn find(&self, seen: &Seen) -> Result<Found> {
        let mean = self.means(&seen.features)?.into_iter().next();
        Ok(Found::Tokens(mean.unwrap_or_default(), ONE))
    }

    fn find_all(&self, batch: &SeenBatch) -> Result<Vec<Result<Found>>> {
        let means = self.means(&batch.features)?.into_iter();
        Ok(means.map(|mean| Ok(Found::Tokens(mean, ONE))).collect())
    }
}

const ONE: Grid = Grid { rows: 1, cols: 1 };

/// The cosine of two vectors; 1 where one is 0.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    match norms > 0.0 {
        true => (dot(a, b) / norms) as f32,
        false => 1.0,
    }
}
