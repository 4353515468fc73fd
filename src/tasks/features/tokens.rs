//! The tokens of a photo as the backbone gave them, on the CPU.

use candle_core::Tensor;

use crate::error::{Error, Result};
use crate::model::backbone::{Features, LayerFeatures, LayerRequest};
use crate::model::input::PatchGrid;

/// Tokens of a photo, of L layers.
#[derive(Debug)]
pub struct PhotoTokens {
    /// The patch grid.
    pub grid: PatchGrid,
    /// Cls tokens, `[L, D]`.
    pub cls: Vec<f32>,
    /// Patch tokens, `[L, rows * cols, D]`; empty where they are not selected.
    pub patches: Vec<f32>,
    /// Register tokens, `[L, R, D]`; empty where they are not selected.
    pub registers: Vec<f32>,
    /// Tokens of the coarse scale, where the pass has one.
    pub coarse: Option<Box<PhotoTokens>>,
}

/// Which tokens are taken beside cls tokens.
#[derive(Debug, Clone, Copy)]
pub struct TokenSelection {
    /// Patch tokens.
    pub patches: bool,
    /// Register tokens.
    pub registers: bool,
    /// Cls and patch tokens of the coarse scale.
    pub coarse: bool,
}

impl PhotoTokens {
    /// The tokens of `layers`, in this order, of one photo.
    ///
    /// # Errors
    /// If a layer was not computed, or the device fails.
    pub fn of(features: &Features, layers: &[LayerRequest], taken: TokenSelection) -> Result<Self> {
        let mut tokens = PhotoTokens {
            grid: features.grid,
            cls: Vec::new(),
            patches: Vec::new(),
            registers: Vec::new(),
            coarse: None,
        };
        for request in layers {
            let mut all = features.layers.iter();
            let layer = all.find(|layer| layer.request == *request);
            let layer = layer
                .ok_or_else(|| Error::Model(format!("block {} was not computed", request.block)))?;
            let LayerFeatures {
                patch_tokens,
                cls_token,
                registers,
                ..
            } = layer;
            append(&mut tokens.cls, cls_token)?;
            if taken.patches {
                append(&mut tokens.patches, patch_tokens)?;
            }
            if taken.registers {
                append(&mut tokens.registers, registers)?;
            }
        }
        if let (true, Some(coarse)) = (taken.coarse, &features.coarse) {
            let taken = TokenSelection {
                coarse: false,
                registers: false,
                ..taken
            };
            tokens.coarse = Some(Box::new(Self::of(coarse, layers, taken)?));
        }
        Ok(tokens)
    }
}

/// Appends the values of `tokens`.
fn append(all: &mut Vec<f32>, tokens: &Tensor) -> Result<()> {
    if tokens.elem_count() > 0 {
        all.extend(tokens.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(())
}
