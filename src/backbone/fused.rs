//! Operations of a block that a CPU does better in one go: attention, bias with GELU, and the residual.
//!
//! They exist for `f32` on CPUs; [`block`](super::block) takes the way of single tensor operations everywhere else.
//! Attention never holds more than a few rows of scores per thread, so its memory grows with the number of tokens and
//! not with its square.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp3, DType, Device, InplaceOp2, Layout, Result, Shape, Tensor,
};
use gemm::{Parallelism, gemm};
use rayon::prelude::*;

use super::lanes;

/// Scores that a thread holds at once, so that they stay in its cache.
const SCORES: usize = 160 << 10;

/// Whether the operations here can take `x`.
pub fn can(x: &Tensor) -> bool {
    matches!(x.device(), Device::Cpu) && x.dtype() == DType::F32
}

/// Attention of `qkv` `[B, N, 3 * D]` (queries, keys, values; each head by head) to `[B, N, D]`.
pub fn attention(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    qkv.apply_op1_no_bwd(&Attention { heads })
}

/// `gelu(x + bias)` in the place of `x` `[.., D]`.
pub fn bias_gelu(x: &Tensor, bias: &Tensor) -> Result<()> {
    x.inplace_op2(bias, &Bias { gelu: true })
}

/// `x + bias` in the place of `x` `[.., D]`.
pub fn add_bias(x: &Tensor, bias: &Tensor) -> Result<()> {
    x.inplace_op2(bias, &Bias { gelu: false })
}

/// `x + gamma * (branch + bias)` for `x` `[.., D]`; `affine` is `[2, D]`: bias, gamma.
pub fn add_scaled(x: &Tensor, branch: &Tensor, affine: &Tensor) -> Result<Tensor> {
    x.apply_op3_no_bwd(branch, affine, &AddScaled)
}

fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = contiguous(layout)?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

fn floats_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let (start, end) = contiguous(layout)?;
    match storage {
        CpuStorage::F32(values) => Ok(&mut values[start..end]),
        _ => candle_core::bail!("a fused operation got something else than f32"),
    }
}

fn contiguous(layout: &Layout) -> Result<(usize, usize)> {
    match layout.contiguous_offsets() {
        Some(range) => Ok(range),
        None => candle_core::bail!("a fused operation got a strided tensor"),
    }
}

struct Attention {
    heads: usize,
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, n, width) = layout.shape().dims3()?;
        let qkv = floats(storage, layout)?;
        let d = width / 3;
        let mut out = vec![0f32; b * n * d];
        for (out, qkv) in out.chunks_exact_mut(n * d).zip(qkv.chunks_exact(n * width)) {
            attend(qkv, out, n, d, self.heads);
        }
        Ok((CpuStorage::F32(out), Shape::from((b, n, d))))
    }
}

/// One photo's attention, [`rayon`] over bands of queries.
fn attend(qkv: &[f32], out: &mut [f32], n: usize, d: usize, heads: usize) {
    let head_dim = d / heads;
    // Keys with the tokens side by side, as the product wants them: transposed once, not once a band.
    let mut keys = vec![0f32; n * d]; // [d, n]
    keys.par_chunks_mut(n * head_dim)
        .enumerate()
        .for_each(|(head, keys)| {
            for (token, from) in qkv.chunks_exact(3 * d).enumerate() {
                let from = &from[d + head * head_dim..][..head_dim];
                for (dim, &value) in from.iter().enumerate() {
                    keys[dim * n + token] = value;
                }
            }
        });
    let rows = (SCORES / n).clamp(8, 128);
    out.par_chunks_mut(rows * d).enumerate().for_each_init(
        || (vec![0f32; rows * n], vec![0f32; rows]),
        |(scores, sums), (band, out)| {
            let rows_here = out.len() / d;
            let first = band * rows;
            for head in 0..heads {
                let queries = &qkv[first * 3 * d + head * head_dim..];
                let values = &qkv[2 * d + head * head_dim..];
                let out = &mut out[head * head_dim..];
                let scores = &mut scores[..rows_here * n];
                let sums = &mut sums[..rows_here];
                product(
                    (rows_here, n, head_dim),
                    scores,
                    n,
                    (queries, 3 * d),
                    (&keys[head * head_dim * n..], n),
                    // Scores in units of log 2.
                    (head_dim as f32).powf(-0.5) * std::f32::consts::LOG2_E,
                );
                lanes::exp2_rows(scores, sums);
                product(
                    (rows_here, head_dim, n),
                    out,
                    d,
                    (scores, n),
                    (values, 3 * d),
                    1.0,
                );
                for (out, sum) in out.chunks_mut(d).zip(sums) {
                    let scale = 1.0 / *sum;
                    out[..head_dim].iter_mut().for_each(|out| *out *= scale);
                }
            }
        },
    );
}

/// `out = scale * left * right`, `[m, k]` by `[k, n]`, each a slice with the distance of its rows.
fn product(
    (m, n, k): (usize, usize, usize),
    out: &mut [f32],
    out_stride: usize,
    (left, left_stride): (&[f32], usize),
    (right, right_stride): (&[f32], usize),
    scale: f32,
) {
    let within =
        |len: usize, rows: usize, cols: usize, stride: usize| (rows - 1) * stride + cols <= len;
    assert!(
        within(out.len(), m, n, out_stride)
            && within(left.len(), m, k, left_stride)
            && within(right.len(), k, n, right_stride)
    );
    // SAFETY: the assertion says that all three lie within their slices, and `out` is not shared.
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            false,
            left.as_ptr(),
            1,
            left_stride as isize,
            right.as_ptr(),
            1,
            right_stride as isize,
            0.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Rows that a thread takes at once.
const BAND: usize = 64;

struct Bias {
    gelu: bool,
}

impl InplaceOp2 for Bias {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        x_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<()> {
        let (x, bias) = (floats_mut(x, x_layout)?, floats(bias, bias_layout)?);
        x.par_chunks_mut(BAND * bias.len())
            .for_each(|x| match self.gelu {
                true => lanes::bias_gelu(x, bias),
                false => lanes::add_bias(x, bias),
            });
        Ok(())
    }
}

struct AddScaled;

impl CustomOp3 for AddScaled {
    fn name(&self) -> &'static str {
        "add-scaled"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        branch: &CpuStorage,
        branch_layout: &Layout,
        affine: &CpuStorage,
        affine_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = floats(x, x_layout)?;
        let branch = floats(branch, branch_layout)?;
        let affine = floats(affine, affine_layout)?;
        let (bias, gamma) = affine.split_at(affine.len() / 2);
        let band = BAND * bias.len();
        let mut out = x.to_vec();
        out.par_chunks_mut(band)
            .zip(branch.par_chunks(band))
            .for_each(|(out, branch)| lanes::add_scaled(out, branch, bias, gamma));
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::D;

    use super::*;

    fn random(shape: &[usize], seed: u64) -> Tensor {
        let mut state = seed;
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn furthest(a: &Tensor, b: &Tensor) -> f64 {
        let a = a.to_dtype(DType::F64).unwrap();
        let difference = (a - b.to_dtype(DType::F64).unwrap()).unwrap();
        let furthest = difference.abs().unwrap().flatten_all().unwrap().max(0);
        furthest.unwrap().to_scalar().unwrap()
    }

    #[test]
    fn attention_is_softmax_of_products_in_f64() {
        // More tokens than a band, no multiple of the lanes, two photos.
        let (b, n, heads, hd) = (2, 203, 3, 16);
        let qkv = (random(&[b, n, 3 * heads * hd], 3) * 2.0).unwrap();
        let got = attention(&qkv, heads).unwrap();
        let parts = qkv.to_dtype(DType::F64).unwrap();
        let parts = parts.reshape((b, n, 3, heads, hd)).unwrap();
        let part = |i: usize| {
            let part = parts.narrow(2, i, 1).unwrap().squeeze(2).unwrap();
            part.transpose(1, 2).unwrap().contiguous().unwrap()
        };
        let keys = part(1).transpose(2, 3).unwrap().contiguous().unwrap();
        let scores = (part(0).matmul(&keys).unwrap() * (hd as f64).powf(-0.5)).unwrap();
        let weights = candle_nn::ops::softmax(&scores, D::Minus1).unwrap();
        let expected = weights.matmul(&part(2)).unwrap();
        let expected = expected.transpose(1, 2).unwrap();
        let expected = expected.reshape((b, n, heads * hd)).unwrap();
        let error = furthest(&got, &expected);
        assert!(error < 2e-6, "{error}");
    }

    #[test]
    fn residual_and_gelu_agree_with_single_operations() {
        let (x, branch) = (random(&[2, 90, 24], 1), random(&[2, 90, 24], 2));
        let (bias, gamma) = (random(&[24], 4), random(&[24], 5));
        let sum = branch.broadcast_add(&bias).unwrap();
        let expected = (&x + sum.broadcast_mul(&gamma).unwrap()).unwrap();
        let affine = Tensor::stack(&[&bias, &gamma], 0).unwrap();
        let got = add_scaled(&x, &branch, &affine).unwrap();
        assert!(furthest(&got, &expected) < 1e-6);
        let expected = x.broadcast_add(&bias).unwrap().gelu_erf().unwrap();
        let got = x.copy().unwrap();
        bias_gelu(&got, &bias).unwrap();
        assert!(furthest(&got, &expected) < 1e-6);
    }

    #[test]
    fn other_types_and_strided_tensors_are_errors() {
        let half = random(&[1, 4, 12], 1).to_dtype(DType::F16).unwrap();
        assert!(!can(&half) && attention(&half, 2).is_err());
        let strided = random(&[1, 12, 4], 1).transpose(1, 2).unwrap();
        assert!(can(&strided) && attention(&strided, 2).is_err());
    }
}
