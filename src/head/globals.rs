//! Tokens that all patches of a photo share: what its cls token says of it, and the statistics of its patch tokens.

use candle_core::{D, DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::backbone::LayerFeatures;
use crate::error::Result;

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
        let patches = layer.patch_tokens.to_dtype(DType::F32)?; // [B, N, D]
        let (batch, n, _) = patches.dims3()?;
        // As a product: candle's own mean goes down the columns number by number, ten times slower.
        let ones = Tensor::ones((batch, 1, n), DType::F32, patches.device())?;
        let mean_of = |tokens: &Tensor| ones.matmul(tokens)? / n as f64;
        let mean = mean_of(&patches)?;
        let token = match self {
            GlobalToken::Deviation => mean_of(&patches.broadcast_sub(&mean)?.sqr()?)?.sqrt()?,
            _ => mean,
        };
        Ok(token.squeeze(D::Minus2)?)
    }
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
}
