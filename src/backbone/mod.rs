//! DINO Vision Transformers: pixels in, patch tokens out. Knows tensors, never files or flags.

pub mod checkpoint;
pub mod config;
pub mod naming;
pub mod variants;

pub use checkpoint::Checkpoint;
pub use config::{BackboneConfig, Ffn, PosEmbedRule};
pub use variants::{VARIANTS, Variant};
