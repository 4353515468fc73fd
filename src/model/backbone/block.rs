//! One transformer block by candle's tensor operations, for devices and number types without kernels of this crate.
//!
//! `x += ls1 * attn(norm1(x)); x += ls2 * ffn(norm2(x))` with tokens `x` `[B, N, D]` and names as in
//! facebookresearch/dinov2. `attn` is `proj(softmax(q k^T / sqrt(head_dim)) v)` for each head; `ffn` is
//! `fc2(gelu(fc1(x)))` with the exact (erf) GELU, or `w3(silu(x1) * x2)`; `ls1` and `ls2` are the per-channel factors
//! of LayerScale (Touvron et al., 2021), which DINO v1 lacks.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::{LayerNorm, Linear, Module, ops};

use crate::model::backbone::config::{BackboneConfig, Ffn};
use crate::model::backbone::tensor_source::TensorSource;

/// Bytes of attention scores held at once. Queries are taken in chunks whose scores stay below this, so memory grows
/// with the number of tokens and not with its square.
const SCORE_BYTES: usize = 64 << 20;

/// The weights of a transformer block.
#[derive(Debug, Clone)]
pub struct Block {
    norm1: LayerNorm,
    attn: Attention,
    ls1: Option<Tensor>, // gamma [D]
    norm2: LayerNorm,
    ffn: FeedForward,
    ls2: Option<Tensor>, // gamma [D]
}

impl Block {
    /// Reads block `index` from the tensors `blocks.{index}.*`.
    pub(super) fn new(
        weights: &PrefixedWeights,
        index: usize,
        config: &BackboneConfig,
    ) -> Result<Self> {
        let at = weights.with_prefix(&format!("blocks.{index}"));
        let gamma = |name: &str| {
            let gamma = || at.get(&format!("{name}.gamma"));
            config.layer_scale.then(gamma).transpose()
        };
        let attn = Attention {
            qkv: at.linear("attn.qkv")?,
            proj: at.linear("attn.proj")?,
            heads: config.heads,
        };
        let ffn = match config.ffn {
            Ffn::Mlp { .. } => FeedForward::Mlp {
                fc1: at.linear("mlp.fc1")?,
                fc2: at.linear("mlp.fc2")?,
            },
            Ffn::SwiGlu { .. } => FeedForward::SwiGlu {
                w12: at.linear("mlp.w12")?,
                w3: at.linear("mlp.w3")?,
            },
        };
        Ok(Self {
            norm1: at.layer_norm("norm1", config.norm_eps)?,
            ls1: gamma("ls1")?,
            attn,
            norm2: at.layer_norm("norm2", config.norm_eps)?,
            ls2: gamma("ls2")?,
            ffn,
        })
    }

    /// Runs tokens `[B, N, D]` through both residual branches: `[B, N, D]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let branch = self.attn.forward(&self.norm1.forward(x)?)?;
        let x = (x + apply_layer_scale(branch, &self.ls1)?)?;
        let branch = self.ffn.forward(&self.norm2.forward(&x)?)?;
        x + apply_layer_scale(branch, &self.ls2)?
    }

    /// The attention weights of the first token of `x` `[B, N, D]`: `[B, heads, N]`, as f32.
    pub(super) fn cls_attention(&self, x: &Tensor) -> Result<Tensor> {
        let qkv = self.attn.qkv.forward(&self.norm1.forward(x)?)?;
        cls_attention_weights(&qkv, self.attn.heads)
    }
}

/// The attention weights of the first token, from queries, keys and values `[B, N, 3 * D]`: `[B, H, N]`, computed in
/// f32 whatever the number type.
pub(super) fn cls_attention_weights(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let (b, n, width) = qkv.dims3()?;
    let d = width / 3;
    let head_dim = d / heads;
    let qkv = qkv.to_dtype(DType::F32)?;
    let part = |part: usize, tokens: usize| {
        qkv.narrow(2, part * d, d)?
            .narrow(1, 0, tokens)?
            .reshape((b, tokens, heads, head_dim))?
            .transpose(1, 2)?
            .contiguous()
    };
    let q = (part(0, 1)? * (head_dim as f64).powf(-0.5))?; // [B, H, 1, hd]
    let k = part(1, n)?.transpose(2, 3)?; // [B, H, hd, N]
    ops::softmax_last_dim(&q.matmul(&k)?)?.squeeze(2)
}

/// A branch `[B, N, D]` times its LayerScale factors `[D]`, in models that have them. The other executors fold the
/// factors into weights, see [`executor`](super::executor).
fn apply_layer_scale(branch: Tensor, gamma: &Option<Tensor>) -> Result<Tensor> {
    match gamma {
        Some(gamma) => branch.broadcast_mul(gamma),
        None => Ok(branch),
    }
}

/// Multi-head self-attention.
#[derive(Debug, Clone)]
struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

impl Attention {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.proj.forward(&self.attend(&self.qkv.forward(x)?)?)
    }

    /// Softmax attention of queries, keys and values `[B, N, 3 * D]`, heads side by side: `[B, N, D]`.
    fn attend(&self, qkv: &Tensor) -> Result<Tensor> {
        let (b, n, width) = qkv.dims3()?;
        let d = width / 3;
        let head_dim = d / self.heads;
        let qkv = qkv.reshape((b, n, 3, self.heads, head_dim))?;
        let part = |i: usize| {
            qkv.narrow(2, i, 1)?
                .squeeze(2)?
                .transpose(1, 2)?
                .contiguous()
        }; // [B, H, N, hd]
        let q = (part(0)? * (head_dim as f64).powf(-0.5))?;
        let k = part(1)?.transpose(2, 3)?; // [B, H, hd, N]
        let v = part(2)?;
        let rows = (SCORE_BYTES / (b * self.heads * n * qkv.dtype().size_in_bytes())).clamp(1, n);
        let mut chunks = Vec::with_capacity(n.div_ceil(rows));
        for start in (0..n).step_by(rows) {
            let q = q.narrow(2, start, rows.min(n - start))?.contiguous()?;
            let scores = ops::softmax_last_dim(&q.matmul(&k)?)?; // [B, H, rows, N]
            chunks.push(scores.matmul(&v)?); // [B, H, rows, hd]
        }
        let x = if chunks.len() == 1 {
            chunks.remove(0)
        } else {
            Tensor::cat(&chunks, 2)?
        };
        x.transpose(1, 2)?.reshape((b, n, d))
    }
}

/// The feed-forward network, see [`Ffn`].
#[derive(Debug, Clone)]
enum FeedForward {
    Mlp { fc1: Linear, fc2: Linear },
    SwiGlu { w12: Linear, w3: Linear },
}

impl FeedForward {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            FeedForward::Mlp { fc1, fc2 } => fc2.forward(&fc1.forward(x)?.gelu_erf()?),
            FeedForward::SwiGlu { w12, w3 } => {
                let parts = w12.forward(x)?.chunk(2, D::Minus1)?;
                w3.forward(&(parts[0].contiguous()?.silu()? * &parts[1])?)
            }
        }
    }
}

/// Tensors of a [`TensorSource`] by their names after a prefix, on one device and in one number type.
pub(super) struct PrefixedWeights<'a> {
    source: &'a dyn TensorSource,
    prefix: String,
    device: &'a candle_core::Device,
    dtype: DType,
}

impl<'a> PrefixedWeights<'a> {
    pub(super) fn new(
        source: &'a dyn TensorSource,
        device: &'a candle_core::Device,
        dtype: DType,
    ) -> Self {
        Self {
            source,
            prefix: String::new(),
            device,
            dtype,
        }
    }

    fn with_prefix(&self, prefix: &str) -> PrefixedWeights<'a> {
        PrefixedWeights {
            prefix: format!("{prefix}."),
            ..*self
        }
    }

    /// The tensor `name`, copied to the device and converted.
    pub(super) fn get(&self, name: &str) -> Result<Tensor> {
        let name = format!("{}{name}", self.prefix);
        let tensor = self
            .source
            .tensor(&name)
            .map_err(candle_core::Error::wrap)?;
        tensor.to_device(self.device)?.to_dtype(self.dtype)
    }

    fn linear(&self, name: &str) -> Result<Linear> {
        Ok(Linear::new(
            self.get(&format!("{name}.weight"))?,
            Some(self.get(&format!("{name}.bias"))?),
        ))
    }

    /// The LayerNorm with `name.weight` and `name.bias`.
    pub(super) fn layer_norm(&self, name: &str, eps: f64) -> Result<LayerNorm> {
        Ok(LayerNorm::new(
            self.get(&format!("{name}.weight"))?,
            self.get(&format!("{name}.bias"))?,
            eps,
        ))
    }
}
