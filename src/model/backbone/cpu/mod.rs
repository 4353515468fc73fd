//! The forward pass on a CPU, in f32: a transformer block is computed a panel of tokens at a time.
//!
//! Pixels `[B, 3, H, W]` and a position embedding in, [`CpuLayerTokens`] out. Tokens of a block interact only in
//! attention, which reads the keys and values of all tokens. So a pass is one parallel loop over panels per block: the
//! queries of a panel attend to all keys, and then, while the panel stays in the core's cache, follow the projection,
//! the feed-forward network, both residuals and the next block's queries, keys and values. The tokens x tokens matrix
//! of scores never exists as a whole, and each thread holds the hidden layer of one panel only.
//!
//! **LayerScale** is folded into the weight and bias of the last layer of each branch when they are packed
//! (`network`, `CpuBlock::new`), and the softmax's scale and base into the queries. **Attention** is FlashAttention's
//! online softmax (Dao et al., 2022) over key blocks, in [`attention`]. **LayerNorm**, **GELU** (erf form) and
//! **SwiGLU** are in [`pointwise`], with their formulas. Matrix products are built as in BLIS (Van Zee and van de
//! Geijn, 2015): packed weights ([`matmul`]) and a register tile ([`microkernel`]).
//!
//! [`panel`] is the memory layout of tokens, [`simd`] the vector units, `network` the packed weights, `pass` the loop
//! over blocks with `panel_task` its units of work, and `cls` the attention weights of the cls token. Each kernel has a
//! test against f64 in its file.

pub mod attention;
mod cls;
pub mod matmul;
pub mod microkernel;
mod network;
pub mod panel;
mod panel_task;
mod pass;
pub mod pointwise;
pub mod simd;
#[cfg(test)]
mod testing;

pub use network::{CpuBackbone, CpuLayerTokens, TensorProvider};
