//! Arguments and result of a forward pass: [`LayerRequest`] in, [`Features`] out.
//!
//! Every executor (CPU kernels, CUDA kernels, candle tensors, constant) fills the same types; tokens are f32 tensors on
//! the backbone's device. Names follow `get_intermediate_layers` of facebookresearch/dinov2.

use candle_core::Tensor;

use crate::error::{Error, Result};
use crate::model::input::PatchGrid;

/// One block's output, requested from a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerRequest {
    /// 0-based index of the block, below the backbone's depth.
    pub block: usize,
    /// Whether the backbone's final LayerNorm is applied to the block's output.
    pub norm: bool,
}

/// The tokens of one block, in f32, for a batch of B photos.
#[derive(Debug, Clone)]
pub struct LayerFeatures {
    /// The request that these tokens answer.
    pub request: LayerRequest,
    /// Patch tokens `[B, rows * cols, D]`, row-major over the patch grid.
    pub patch_tokens: Tensor,
    /// The cls token `[B, D]`.
    pub cls_token: Tensor,
    /// Register tokens `[B, R, D]`; R is 0 in models without registers.
    pub registers: Tensor,
}

/// The result of a forward pass.
#[derive(Debug, Clone)]
pub struct Features {
    /// One entry per request, in the order of the requests.
    pub layers: Vec<LayerFeatures>,
    /// The patch grid of the input.
    pub grid: PatchGrid,
    /// Features of the same input at a coarser scale (see [`CoarseScale`](crate::model::input::CoarseScale)), set by
    /// the caller for heads that read them; a forward pass itself leaves it empty.
    pub coarse: Option<Box<Features>>,
}

impl Features {
    /// Refuses features that are not finite, which undamaged weights never give.
    ///
    /// # Errors
    /// [`Error::Model`] with the block, if any number is NaN or infinite.
    pub(super) fn check_finite(&self) -> Result<()> {
        for layer in &self.layers {
            let tokens = [&layer.patch_tokens, &layer.cls_token, &layer.registers];
            for tokens in tokens {
                // Only the sum crosses from the device: a NaN or an infinity among the numbers is in it too.
                let tokens = tokens.flatten_all()?;
                if tokens.elem_count() > 0 && !tokens.sum_all()?.to_scalar::<f32>()?.is_finite() {
                    return Err(Error::Model(format!(
                        "the backbone gave numbers that are not finite in block {}: its weights are damaged, or too large for \
                         the number type it runs in (`dino models info NAME --verify` looks at the file, --dtype f32 is the widest)",
                        layer.request.block
                    )));
                }
            }
        }
        Ok(())
    }
}
