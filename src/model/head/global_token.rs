//! Tokens that all patches of a photo share: its cls token, and the mean and standard deviation of its patch tokens.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::maths::matrix::{column_deviations, column_means};
use crate::model::backbone::LayerFeatures;
use crate::model::backbone::tensor_source::with_floats;

/// A token of a photo as a whole, `[D]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GlobalToken {
    /// The cls token.
    Cls,
    /// The mean of the patch tokens.
    Mean,
    /// The population standard deviation of the patch tokens, channel by channel.
    Deviation,
}

impl GlobalToken {
    /// All of them, in the order in which heads read them.
    pub const ALL: [Self; 3] = [Self::Cls, Self::Mean, Self::Deviation];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            GlobalToken::Cls => "cls",
            GlobalToken::Mean => "mean",
            GlobalToken::Deviation => "deviation",
        }
    }

    /// The tokens `wanted` of a layer side by side, `[B, wanted.len() * D]` in f32.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device fails.
    pub fn concat_tokens(wanted: &[Self], layer: &LayerFeatures) -> Result<Tensor> {
        let spread = wanted.contains(&Self::Deviation);
        // Deviations need the means, which are computed once for both.
        let statistics = match spread || wanted.contains(&Self::Mean) {
            true => patch_statistics(&layer.patch_tokens, spread)?,
            false => Vec::new(),
        };
        let tokens = wanted
            .iter()
            .map(|token| match token {
                GlobalToken::Cls => Ok(layer.cls_token.to_dtype(DType::F32)?),
                GlobalToken::Mean => Ok(statistics[0].clone()),
                GlobalToken::Deviation => Ok(statistics[1].clone()),
            })
            .collect::<Result<Vec<Tensor>>>()?;
        Ok(Tensor::cat(&tokens, 1)?)
    }
}

/// The means of `patches` `[B, N, D]` and, with `spread`, their standard deviations: `[B, D]` each.
fn patch_statistics(patches: &Tensor, spread: bool) -> Result<Vec<Tensor>> {
    let (batch, n, dim) = patches.dims3()?;
    if !patches.device().is_cpu() {
        return patch_statistics_on_device(&patches.to_dtype(DType::F32)?, spread);
    }
    let mut statistics = vec![Vec::with_capacity(batch * dim); 1 + usize::from(spread)];
    with_floats(patches, |tokens| {
        for tokens in tokens.chunks_exact(n * dim) {
            let rows: Vec<&[f32]> = tokens.chunks_exact(dim).collect();
            let fill = |row: &&[f32], out: &mut [f32]| out.copy_from_slice(row);
            let means = column_means(&rows, dim, fill);
            if spread {
                let deviations = column_deviations(&rows, &means, fill);
                statistics[1].extend(deviations.into_iter().map(|v| v as f32));
            }
            statistics[0].extend(means.into_iter().map(|v| v as f32));
        }
    })?;
    let tensor = |values| Ok(Tensor::from_vec(values, (batch, dim), patches.device())?);
    statistics.into_iter().map(tensor).collect()
}

/// [`patch_statistics`] by candle's operations, for devices other than the CPU; on a CPU they would be slow, reading
/// the columns one number at a time.
fn patch_statistics_on_device(patches: &Tensor, spread: bool) -> Result<Vec<Tensor>> {
    let mean = patches.mean_keepdim(1)?;
    let mut statistics = vec![mean.squeeze(1)?];
    if spread {
        let squares = patches.broadcast_sub(&mean)?.sqr()?;
        statistics.push(squares.mean_keepdim(1)?.sqrt()?.squeeze(1)?);
    }
    Ok(statistics)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::model::backbone::LayerRequest;

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
        let of = |token: GlobalToken| {
            GlobalToken::concat_tokens(&[token], &layer)
                .unwrap()
                .to_vec2::<f32>()
                .unwrap()
        };
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
        let there = patch_statistics_on_device(&layer.patch_tokens, true).unwrap();
        for (token, there) in [GlobalToken::Mean, GlobalToken::Deviation]
            .into_iter()
            .zip(there)
        {
            let here = GlobalToken::concat_tokens(&[token], &layer).unwrap();
            let [here, there] = [here, there].map(|t| t.to_vec2::<f32>().unwrap());
            assert_eq!((here.len(), there.len()), (2, 2));
            for (a, b) in here.concat().iter().zip(there.concat()) {
                assert!((a - b).abs() < 1e-5, "{a} and {b}");
            }
        }
    }
}
