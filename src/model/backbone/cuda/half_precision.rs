//! A backbone that runs in f16 until its numbers overflow, and in bf16 from then on.
//!
//! f16 has three more mantissa bits than bf16 at the same speed, but overflows beyond 65 504, and whether a model's
//! activations stay below cannot be known beforehand: a pass with a number that is not finite is run again in bf16.

use std::sync::{Mutex, OnceLock, PoisonError};

use candle_core::{DType, Tensor};

use super::network::CudaBackbone;
use crate::error::{Error, Result};
use crate::model::backbone::features::{LayerFeatures, LayerRequest};
use crate::model::input::PatchGrid;

/// A backbone in f16 or bf16, with bf16 as the fallback of f16.
#[derive(Debug)]
pub struct HalfPrecisionBackbone {
    /// The backbone in the requested type.
    first: CudaBackbone,
    /// The backbone in bf16, built once f16 has overflowed.
    bf16_fallback: OnceLock<CudaBackbone>,
    /// Held while the fallback is built, so that it is built once.
    fallback_lock: Mutex<()>,
}

impl From<CudaBackbone> for HalfPrecisionBackbone {
    fn from(first: CudaBackbone) -> Self {
        HalfPrecisionBackbone {
            first,
            bf16_fallback: OnceLock::new(),
            fallback_lock: Mutex::new(()),
        }
    }
}

impl HalfPrecisionBackbone {
    /// The type of the matrix products in use: the requested one, or bf16 once f16 has overflowed.
    pub fn dtype(&self) -> DType {
        match self.active().is_f16() {
            true => DType::F16,
            false => DType::BF16,
        }
    }

    /// As [`CudaBackbone::stage_pixels`].
    ///
    /// # Errors
    /// As [`CudaBackbone::stage_pixels`].
    pub fn stage_pixels(&self, photos: &[&[f32]], size: (usize, usize)) -> Result<Tensor> {
        self.first.stage_pixels(photos, size)
    }

    /// As [`CudaBackbone::forward`].
    ///
    /// # Errors
    /// As [`CudaBackbone::forward`], and [`Error::Model`] if a number is not finite in bf16 either.
    pub fn forward(
        &self,
        pixels: &Tensor,
        grid: PatchGrid,
        requests: &[LayerRequest],
        tick: &dyn Fn(usize, usize),
    ) -> Result<Vec<LayerFeatures>> {
        self.run_with_fallback(|network| network.forward(pixels, grid, requests, tick))
    }

    /// As [`CudaBackbone::queries_keys_values`].
    ///
    /// # Errors
    /// As [`HalfPrecisionBackbone::forward`].
    pub fn queries_keys_values(
        &self,
        pixels: &Tensor,
        grid: PatchGrid,
        block: usize,
    ) -> Result<Tensor> {
        self.run_with_fallback(|network| {
            let qkv = network.queries_keys_values(pixels, grid, block)?;
            let sum: f32 = qkv.to_dtype(DType::F32)?.sum_all()?.to_scalar()?;
            Ok(sum.is_finite().then_some(qkv))
        })
    }

    /// The backbone of the type in use.
    fn active(&self) -> &CudaBackbone {
        self.bf16_fallback.get().unwrap_or(&self.first)
    }

    /// Runs `run` in the type in use, and once more in bf16 if it returns `None` (numbers that are not finite) in f16.
    fn run_with_fallback<T>(&self, run: impl Fn(&CudaBackbone) -> Result<Option<T>>) -> Result<T> {
        let network = self.active();
        if let Some(output) = run(network)? {
            return Ok(output);
        }
        let wider = match network.is_f16() {
            true => run(self.build_fallback()?)?,
            false => None,
        };
        wider.ok_or_else(|| {
            Error::Model(
                "the backbone gave numbers that are not finite: its weights are damaged, or too large for bf16 (`dino models \
                 info NAME --verify` looks at the file, --dtype f32 is the widest)"
                    .into(),
            )
        })
    }

    /// The backbone in bf16, built if it is not there.
    fn build_fallback(&self) -> Result<&CudaBackbone> {
        let _guard = self
            .fallback_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(wide) = self.bf16_fallback.get() {
            return Ok(wide);
        }
        let wide = self.first.to_bf16()?;
        Ok(self.bf16_fallback.get_or_init(|| wide))
    }
}
