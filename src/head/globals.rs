//! Tokens that all patches of a photo share: what its cls token says of it, and the statistics of its patch tokens.

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::backbone::LayerFeatures;
use crate::backbone::source::with_floats;
use crate::error::Result;

/// Columns that are summed at once.
const COLUMNS: usize = 64;

/// A token of a photo as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GlobalToken {
    /// The cls token.
    Cls,
    /// The mean of the patch tokens.
    Mean,
    /// Their standard deviation, number by number.
    Deviation,
}

impl GlobalToken {
    /// All of them, in the order in which heads read them.
    pub const ALL: [Self; 3] = [Self::Cls, Self::Mean, Self::Deviation];

    /// As the command line and files spell it.
    pub fn name(self) -> &'static str {
        match self {
            GlobalToken::Cls => "cls",
            GlobalToken::Mean => "mean",
            GlobalToken::Deviation => "deviation",
        }
    }

    /// The token of a layer, `[B, D]` in `f32`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn of(self, layer: &LayerFeatures) -> Result<Tensor> {
        if self == GlobalToken::Cls {
            return Ok(layer.cls_token.to_dtype(DType::F32)?);
        }
        let patches = &layer.patch_tokens; // [B, N, D]
        let (batch, n, dim) = patches.dims3()?;
        if !patches.device().is_cpu() {
            return on_device(self, &patches.to_dtype(DType::F32)?);
        }
        let mut token = vec![0f32; batch * dim];
        with_floats(patches, |tokens| {
            for (tokens, out) in tokens
                .chunks_exact(n * dim)
                .zip(token.chunks_exact_mut(dim))
            {
                out.par_chunks_mut(COLUMNS)
                    .enumerate()
                    .for_each(|(part, out)| {
                        self.of_columns(tokens, dim, part * COLUMNS, out);
                    });
            }
        })?;
        Ok(Tensor::from_vec(token, (batch, dim), patches.device())?)
    }

    /// The mean or deviation of some columns of `tokens` `[N, D]`, from column `first` on.
    fn of_columns(self, tokens: &[f32], dim: usize, first: usize, out: &mut [f32]) {
        let n = (tokens.len() / dim) as f64;
        let mean = sums(tokens, dim, first, out.len(), |_, v| v).map(|sum| sum / n);
        let about = mean.map(|mean| mean as f32);
        let token = match self {
            GlobalToken::Deviation => sums(tokens, dim, first, out.len(), |column, v| {
                let apart = v - about[column];
                apart * apart
            })
            .map(|sum| (sum / n).sqrt()),
            _ => mean,
        };
        for (to, from) in out.iter_mut().zip(token) {
            *to = from as f32;
        }
    }
}

/// Sums of `f(column, value)` down `columns` columns of `tokens` `[N, D]`, from `first` on.
fn sums(
    tokens: &[f32],
    dim: usize,
    first: usize,
    columns: usize,
    f: impl Fn(usize, f32) -> f32,
) -> [f64; COLUMNS] {
    let mut sums = [0f64; COLUMNS];
    // A few rows in f32, then on in f64: as exact as it need be, and mostly the faster of the two.
    for rows in tokens.chunks(8 * dim) {
        let mut few = [0f32; COLUMNS];
        for row in rows.chunks_exact(dim) {
            for (column, (sum, &v)) in few.iter_mut().zip(&row[first..][..columns]).enumerate() {
                *sum += f(column, v);
            }
        }
        for (sum, few) in sums.iter_mut().zip(few) {
            *sum += f64::from(few);
        }
    }
    sums
}

/// The mean or deviation of `patches` `[B, N, D]` by candle's operations, for devices other than the CPU, where they go
/// down the columns number by number.
fn on_device(token: GlobalToken, patches: &Tensor) -> Result<Tensor> {
    let mean = patches.mean_keepdim(1)?;
    let token = match token {
        GlobalToken::Deviation => patches
            .broadcast_sub(&mean)?
            .sqr()?
            .mean_keepdim(1)?
            .sqrt()?,
        _ => mean,
    };
    Ok(token.squeeze(1)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::backbone::LayerRequest;

    #[test]
    fn statistics_of_known_patches() {
        let device = &Device::Cpu;
        let request = LayerRequest {
            block: 0,
            norm: false,
        };
        let layer = LayerFeatures {
            request,
            patch_tokens: Tensor::new(&[[[1f32, 5.0], [3.0, 5.0], [8.0, 5.0]]], device).unwrap(),
            cls_token: Tensor::new(&[[7f32, 9.0]], device).unwrap(),
            registers: Tensor::zeros((1, 0, 2), DType::F32, device).unwrap(),
        };
        let of = |token: GlobalToken| token.of(&layer).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(of(GlobalToken::Cls), [[7.0, 9.0]]);
        assert_eq!(of(GlobalToken::Mean), [[4.0, 5.0]]);
        // Population deviation: sqrt((9 + 1 + 16) / 3).
        let deviation = of(GlobalToken::Deviation);
        assert!((deviation[0][0] - (26f32 / 3.0).sqrt()).abs() < 1e-6 && deviation[0][1] == 0.0);
    }
    #[test]
    fn devices_agree() {
        let request = LayerRequest {
            block: 0,
            norm: false,
        };
        // More columns than are summed at once.
        let shape = (2, 50, COLUMNS + 6);
        let layer = LayerFeatures {
            request,
            patch_tokens: Tensor::randn(3f32, 2.0, shape, &Device::Cpu).unwrap(),
            cls_token: Tensor::zeros((2, shape.2), DType::F32, &Device::Cpu).unwrap(),
            registers: Tensor::zeros((2, 0, shape.2), DType::F32, &Device::Cpu).unwrap(),
        };
        for token in [GlobalToken::Mean, GlobalToken::Deviation] {
            let here = token.of(&layer).unwrap();
            let there = on_device(token, &layer.patch_tokens).unwrap();
            assert_eq!(here.dims(), there.dims());
            let apart = (here - there).unwrap().abs().unwrap();
            assert!(
                apart
                    .flatten_all()
                    .unwrap()
                    .max(0)
                    .unwrap()
                    .to_scalar::<f32>()
                    .unwrap()
                    < 1e-5
            );
        }
    }
}
