//! One transformer block by candle's tensors, for GPUs: attention and feed-forward network, each a residual branch.
//!
//! `x += ls1 * attn(norm1(x)); x += ls2 * ffn(norm2(x))`, names as in facebookresearch/dinov2.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::{LayerNorm, Linear, Module, ops};

use crate::backbone::checkpoint::Checkpoint;
use crate::backbone::config::{BackboneConfig, Ffn};

/// Bytes of attention scores held at once: rows of queries are taken in chunks that stay under it, so memory
/// grows with the number of tokens, not with its square.
const SCORE_BYTES: usize = 64 << 20;

/// A transformer block.
#[derive(Debug, Clone)]
pub struct Block {
    norm1: LayerNorm,
    attn: Attention,
    ls1: Scale,
    norm2: LayerNorm,
    ffn: FeedForward,
    ls2: Scale,
}

impl Block {
    pub(super) fn new(weights: &Weights, index: usize, config: &BackboneConfig) -> Result<Self> {
        let at = weights.under(&format!("blocks.{index}"));
        let scale = |name: &str, last: &Linear| {
            let gamma = match config.layer_scale {
                true => Some(at.get(&format!("{name}.gamma"))?),
                false => None,
            };
            Scale::new(last, gamma)
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
            ls1: scale("ls1", &attn.proj)?,
            attn,
            norm2: at.layer_norm("norm2", config.norm_eps)?,
            ls2: scale("ls2", ffn.last())?,
            ffn,
        })
    }

    /// `[B, N, D]` to `[B, N, D]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let branch = self.attn.forward(&self.norm1.forward(x)?)?;
        let x = self.ls1.add(x, &branch)?;
        let branch = self.ffn.forward(&self.norm2.forward(&x)?)?;
        self.ls2.add(&x, &branch)
    }
}

/// The end of a branch: the bias of its last product, LayerScale, and the way back into the stream.
#[derive(Debug, Clone)]
struct Scale {
    affine: Tensor, // [2, D]: bias, gamma
}

impl Scale {
    fn new(last: &Linear, gamma: Option<Tensor>) -> Result<Self> {
        let Some(bias) = last.bias() else {
            candle_core::bail!("the last product of a branch has no bias")
        };
        let gamma = match gamma {
            Some(gamma) => gamma,
            None => bias.ones_like()?,
        };
        Ok(Self {
            affine: Tensor::stack(&[bias, &gamma], 0)?,
        })
    }

    /// `x + gamma * (branch + bias)`.
    fn add(&self, x: &Tensor, branch: &Tensor) -> Result<Tensor> {
        let branch = branch.broadcast_add(&self.affine.get(0)?)?;
        x + branch.broadcast_mul(&self.affine.get(1)?)?
    }
}

/// The product with the weight alone, `[B, N, in]` to `[B, N, out]`.
fn product(x: &Tensor, linear: &Linear) -> Result<Tensor> {
    let (b, n, d) = x.dims3()?;
    let rows = x.reshape((b * n, d))?.matmul(&linear.weight().t()?)?;
    rows.reshape((b, n, ()))
}

/// The product with weight and bias.
fn affine(x: &Tensor, linear: &Linear) -> Result<Tensor> {
    let out = product(x, linear)?;
    match linear.bias() {
        Some(bias) => out.broadcast_add(bias),
        None => Ok(out),
    }
}

#[derive(Debug, Clone)]
struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

impl Attention {
    /// Without the bias of the last product, which [`Scale`] adds.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let qkv = affine(x, &self.qkv)?;
        product(&self.attend(&qkv)?, &self.proj)
    }

    /// `[B, N, 3 * D]` to `[B, N, D]`, by single tensor operations.
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

#[derive(Debug, Clone)]
enum FeedForward {
    Mlp { fc1: Linear, fc2: Linear },
    SwiGlu { w12: Linear, w3: Linear },
}

impl FeedForward {
    fn last(&self) -> &Linear {
        match self {
            FeedForward::Mlp { fc2, .. } => fc2,
            FeedForward::SwiGlu { w3, .. } => w3,
        }
    }

    /// Without the bias of the last product, which [`Scale`] adds.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = match self {
            FeedForward::Mlp { fc1, .. } => {
                let hidden = product(x, fc1)?;
                match fc1.bias() {
                    Some(bias) => hidden.broadcast_add(bias)?.gelu_erf()?,
                    None => hidden.gelu_erf()?,
                }
            }
            FeedForward::SwiGlu { w12, .. } => {
                let parts = affine(x, w12)?.chunk(2, D::Minus1)?;
                (parts[0].contiguous()?.silu()? * &parts[1])?
            }
        };
        product(&hidden, self.last())
    }
}

/// A checkpoint seen from one prefix, on one device and in one dtype.
pub(super) struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    prefix: String,
    device: &'a candle_core::Device,
    dtype: DType,
}

impl<'a> Weights<'a> {
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        device: &'a candle_core::Device,
        dtype: DType,
    ) -> Self {
        Self {
            checkpoint,
            prefix: String::new(),
            device,
            dtype,
        }
    }

    fn under(&self, prefix: &str) -> Weights<'a> {
        Weights {
            prefix: format!("{prefix}."),
            ..*self
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Tensor> {
        let name = format!("{}{name}", self.prefix);
        let Some(tensor) = self.checkpoint.tensors.get(&name) else {
            candle_core::bail!("{}: no tensor {name}", self.checkpoint.origin)
        };
        tensor.to_device(self.device)?.to_dtype(self.dtype)
    }

    fn linear(&self, name: &str) -> Result<Linear> {
        Ok(Linear::new(
            self.get(&format!("{name}.weight"))?,
            Some(self.get(&format!("{name}.bias"))?),
        ))
    }

    pub(super) fn layer_norm(&self, name: &str, eps: f64) -> Result<LayerNorm> {
        Ok(LayerNorm::new(
            self.get(&format!("{name}.weight"))?,
            self.get(&format!("{name}.bias"))?,
            eps,
        ))
    }
}
