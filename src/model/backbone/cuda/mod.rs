//! The forward pass on NVIDIA GPUs in half precision (f16 or bf16): matrix products by cuBLASLt, everything between
//! them by kernels of this crate, compiled at run time by NVRTC.
//!
//! Pixels `[B, 3, H, W]` in, [`LayerFeatures`](super::LayerFeatures) in f32 out. Values whose precision or range
//! exceeds half precision are f32: the residual stream, the statistics of LayerNorm and softmax, the position
//! embedding, the sums of all products, and the returned features. A block is seven launches: LayerNorm; queries, keys
//! and values; attention; projection; LayerNorm; and the two layers of the feed-forward network, with SwiGLU's gate an
//! eighth between them. Nothing is copied in between: attention reads queries, keys and values where their product has
//! written them, and the epilogue of each branch's last product adds it to the stream.
//!
//! **LayerScale** is folded into the last weight and bias of each branch when they are uploaded
//! (`CudaLinear::with_layer_scale` in `layers`). **LayerNorm**: `layer_norm` in `tokens.cu`, two passes over a token in
//! registers. **GELU**: cuBLASLt's tanh form, see `matmul::CudaEpilogue::BiasGelu`. **Attention**: FlashAttention's
//! online softmax (Dao et al., 2022), in `attention_sm80.cu` and `attention_sm90.cu`.
//!
//! `half_precision` falls back from f16 to bf16, `network` holds the weights, `layers` those of a block, `pass` runs a
//! batch, `kernels` compiles and launches the kernels, `matmul` plans the products, `memory` gives the addresses of
//! tensors, `staging` uploads pixels.

mod half_precision;
mod kernels;
mod layers;
mod matmul;
mod memory;
mod network;
mod pass;
mod staging;

pub use half_precision::HalfPrecisionBackbone;
pub use memory::prepare_device;
pub use network::CudaBackbone;
