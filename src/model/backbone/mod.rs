//! DINO Vision Transformers: pixels in, patch tokens out. Knows tensors, never files or flags.
//!
//! [`variants`] is the table of known models, [`config`] what a shape is made of, [`checkpoint`] the tensors of
//! one model under canonical names ([`naming`] maps other spellings to them), [`vit`] the forward pass, [`block`] one
//! transformer block by tensors, [`attention`] what the cls token looks at, `cpu` and `cuda` all of them by
//! kernels of our own, `constant` what stands in for them where everything else is measured, and [`pos_embed`] the
//! interpolation of position embeddings.

pub mod attention;
pub mod block;
pub mod checkpoint;
pub mod config;
mod constant;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod naming;
pub mod pos_embed;
pub mod tensor_source;
pub mod variants;
pub mod vit;

pub use attention::ClsAttention;
pub use checkpoint::Checkpoint;
pub use config::{BackboneConfig, Ffn, PosEmbedRule};
pub use tensor_source::TensorSource;
pub use variants::{VARIANTS, Variant};
pub use vit::{Backbone, Features, LayerFeatures, LayerRequest};
