//! Tokens that all patches of a photo share: what its cls token says of it, and the statistics of its patch tokens.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::backbone::LayerFeatures;
use crate::backbone::source::with_floats;
use crate::error::Result;
use crate::matrix::{column_deviations, column_means};

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
        let mut values = Vec::with_capacity(batch * dim);
        with_floats(patches, |tokens| {
            for tokens in tokens.chunks_exact(n * dim) {
                let rows: Vec<&[f32]> = tokens.chunks_exact(dim).collect();
                let fill = |row: &&[f32], out: &mut [f32]| out.copy_from_slice(row);
                let mean = column_means(&rows, dim, fill);
                let token = match self {
                    GlobalToken::Deviation => column_deviations(&rows, &mean, fill),
                    _ => mean,
                };
                values.extend(token.into_iter().map(|v| v as f32));
            }
        })?;
        Ok(Tensor::from_vec(values, (batch, dim), patches.device())?)
    }
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

    /// A layer with these patch tokens, `[B, N, 2]`.
    fn layer(patch_tokens: Tensor) -> LayerFeatures {
        let device = patch_tokens.device().clone();
        let batch = patch_tokens.dim(0).unwrap();
        LayerFeatures {
            request: LayerRequest {
                block: 0,
                norm: false,
            },
            patch_tokens,
            cls_token: Tensor::new(&[7f32, 9.0], &device)
                .unwrap()
                .broadcast_as((batch, 2))
                .unwrap(),
            registers: Tensor::zeros((batch, 0, 2), DType::F32, &device).unwrap(),
        }
    }

    #[test]
    fn statistics_of_known_patches() {
        let patches = &[[[1f32, 5.0], [3.0, 5.0], [8.0, 5.0]]];
        let layer = layer(Tensor::new(patches, &Device::Cpu).unwrap());
        let of = |token: GlobalToken| token.of(&layer).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(of(GlobalToken::Cls), [[7.0, 9.0]]);
        assert_eq!(of(GlobalToken::Mean), [[4.0, 5.0]]);
        // Population deviation: sqrt((9 + 1 + 16) / 3).
        let deviation = of(GlobalToken::Deviation);
        assert!((deviation[0][0] - (26f32 / 3.0).sqrt()).abs() < 1e-6 && deviation[0][1] == 0.0);
    }

    #[test]
    fn devices_agree() {
        // More rows than are summed at once.
        let shape = (2, 1500, 2);
        let tokens: Vec<f32> = (0..6000).map(|i| 3.0 + (i as f32 * 1.7).sin()).collect();
        let layer = layer(Tensor::from_vec(tokens, shape, &Device::Cpu).unwrap());
        for token in [GlobalToken::Mean, GlobalToken::Deviation] {
            let here = token.of(&layer).unwrap();
            let there = on_device(token, &layer.patch_tokens).unwrap();
            let [here, there] = [here, there].map(|t| t.to_vec2::<f32>().unwrap());
            assert_eq!((here.len(), there.len()), (2, 2));
            for (a, b) in here.concat().iter().zip(there.concat()) {
                assert!((a - b).abs() < 1e-5, "{a} and {b}");
            }
        }
    }
}
