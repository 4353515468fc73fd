//! DINO Vision Transformers: pixels in, patch tokens out. This module takes tensors; it reads no files and no options.
//!
//! Normalised RGB pixels `[B, 3, H, W]`, whose sides are multiples of the patch size, become tokens
//! `[B, 1 + R + N, D]`: the cls token, R registers, and N = rows * cols patch tokens, row-major. After the blocks that
//! a [`LayerRequest`] names, they leave as [`Features`]. Names and numbers follow facebookresearch/dinov2 and
//! facebookresearch/dino.
//!
//! | question | place |
//! |---|---|
//! | which models are known, of what shape | [`variants`], [`config`] |
//! | which tensors a checkpoint must have, and other names for them | [`checkpoint`], [`naming`] |
//! | how a backbone is built from a [`tensor_source`] | `load` |
//! | what enters the first block | `embeddings` |
//! | how the position embedding is resized, and which tests guard that | [`pos_embed`] |
//! | the forward pass | [`vit`], which dispatches to an `executor` |
//! | a block in candle's operations, as the paper has it | [`block`] |
//! | a block in kernels | [`cpu`], `cuda` |
//! | where LayerScale is applied | `apply_layer_scale` in [`block`]; folded into weights in `cpu/network.rs` and `cuda/layers.rs` |
//! | formulas of attention, LayerNorm, GELU, SwiGLU | [`block`]; as kernels in [`cpu::attention`] and [`cpu::pointwise`] |
//! | the attention weights of the cls token | [`attention`] |
//! | how much memory a pass takes | `footprint` |
//! | how everything but the backbone is timed | `constant` |

pub mod attention;
pub mod block;
mod bounded_cache;
pub mod checkpoint;
pub mod config;
mod constant;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod embeddings;
mod executor;
pub mod features;
mod float_values;
mod footprint;
mod load;
pub mod naming;
pub mod pos_embed;
pub mod tensor_source;
pub mod variants;
pub mod vit;

pub use attention::ClsAttention;
pub use checkpoint::Checkpoint;
pub use config::{BackboneConfig, Ffn, PosEmbedRule};
pub use features::{Features, LayerFeatures, LayerRequest};
pub use tensor_source::TensorSource;
pub use variants::{VARIANTS, Variant};
pub use vit::Backbone;
