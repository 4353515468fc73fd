//! How much the cls token attends to every token in one block, head by head, as in the figures of DINO (Caron et al.,
//! 2021).
//!
//! Pixels `[B, 3, H, W]` and a block in; one [`ClsAttention`] per photo out, the softmax row of the cls token's query.

use candle_core::Tensor;

use crate::error::{Error, Result};
#[cfg(feature = "cuda")]
use crate::model::backbone::block::cls_attention_weights;
use crate::model::backbone::constant;
use crate::model::backbone::executor::Executor;
use crate::model::backbone::float_values::with_floats;
use crate::model::backbone::vit::Backbone;
use crate::model::input::PatchGrid;

/// The attention of the cls token of one photo in one block.
#[derive(Debug, Clone, PartialEq)]
pub struct ClsAttention {
    /// `[heads, 1 + registers + rows * cols]`, each head's row a softmax that sums to 1: cls, registers, patches.
    weights: Vec<f32>,
    /// Number of attention heads.
    pub heads: usize,
    /// Number of special tokens: the cls token and the registers.
    specials: usize,
    /// The patch grid of the input.
    pub grid: PatchGrid,
}

impl ClsAttention {
    /// The weights that `head` gives to the cls token itself and to the registers, in this order: `[1 + R]`, 0 to 1.
    pub fn specials(&self, head: usize) -> &[f32] {
        &self.row(head)[..self.specials]
    }

    /// The weights that `head` gives to the patches, `[rows * cols]`, 0 to 1; with [`ClsAttention::specials`] they sum
    /// to 1.
    pub fn patches(&self, head: usize) -> &[f32] {
        &self.row(head)[self.specials..]
    }

    /// The weights of the patches, averaged over heads: `[rows * cols]`.
    pub fn mean(&self) -> Vec<f32> {
        let share = 1.0 / self.heads as f64;
        (0..self.grid.len())
            .map(|patch| {
                let of_heads = (0..self.heads).map(|head| f64::from(self.patches(head)[patch]));
                (of_heads.sum::<f64>() * share) as f32
            })
            .collect()
    }

    /// The weight of every token if all had the same one: one divided by the number of tokens.
    pub fn uniform_weight(&self) -> f32 {
        1.0 / (self.specials + self.grid.len()) as f32
    }

    fn row(&self, head: usize) -> &[f32] {
        let tokens = self.specials + self.grid.len();
        &self.weights[head * tokens..][..tokens]
    }
}

impl Backbone {
    /// Runs normalised RGB `pixels` `[B, 3, H, W]` (sides multiples of the patch size) up to `block` and returns the
    /// attention of its cls token for each photo. Of `block` itself, nothing beyond queries, keys and values is
    /// computed.
    ///
    /// # Errors
    /// [`Error::Model`] for a block beyond the depth, sides that are no multiples of the patch size, or weights that
    /// are not finite; [`Error::Tensor`] if the device fails.
    pub fn cls_attention(&self, pixels: &Tensor, block: usize) -> Result<Vec<ClsAttention>> {
        self.check_block(block)?;
        let grid = self.embeddings.patch_grid(pixels)?;
        let weights = match &self.executor {
            Executor::Cpu(network) => {
                let positions = self.position_embedding(grid)?;
                with_floats(pixels, |pixels| {
                    with_floats(&positions, |positions| {
                        network.cls_attention(pixels, grid, positions, block)
                    })
                })???
            }
            #[cfg(feature = "cuda")]
            Executor::Cuda(network) => {
                let qkv = network.queries_keys_values(pixels, grid, block)?;
                let weights = cls_attention_weights(&qkv, self.config().heads)?;
                weights.flatten_all()?.to_vec1()?
            }
            Executor::Constant(_) => constant::cls_attention(self.config(), grid, pixels.dim(0)?),
            Executor::Tensors { blocks, .. } => {
                let (before, rest) = blocks.split_at(block);
                let own = rest
                    .first()
                    .ok_or_else(|| Error::Model(format!("this backbone has no block {block}")))?;
                let x = before
                    .iter()
                    .try_fold(self.embeddings.prepare_tokens(pixels, grid)?, |x, block| {
                        block.forward(&x)
                    })?;
                own.cls_attention(&x)?.flatten_all()?.to_vec1()?
            }
        };
        if weights.iter().any(|weight: &f32| !weight.is_finite()) {
            return Err(Error::Model(format!(
                "the backbone gave numbers that are not finite in block {block}: its weights are damaged (`dino models \
                 info NAME --verify` looks at the file)"
            )));
        }
        let (heads, specials) = (self.config().heads, 1 + self.config().registers);
        let of_photo = |weights: &[f32]| ClsAttention {
            weights: weights.to_vec(),
            heads,
            specials,
            grid,
        };
        let photo = heads * (specials + grid.len());
        Ok(weights.chunks_exact(photo).map(of_photo).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_come_after_the_special_tokens() {
        let attention = ClsAttention {
            weights: vec![0.5, 0.25, 0.125, 0.125, 0.25, 0.25, 0.5, 0.0],
            heads: 2,
            specials: 2,
            grid: PatchGrid { rows: 1, cols: 2 },
        };
        assert_eq!(attention.specials(1), [0.25, 0.25]);
        assert_eq!(attention.patches(0), [0.125, 0.125]);
        assert_eq!(attention.mean(), [0.3125, 0.0625]);
        assert_eq!(attention.uniform_weight(), 0.25);
    }
}
