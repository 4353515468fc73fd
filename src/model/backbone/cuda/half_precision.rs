//! A network in f16 for as long as that holds its numbers, and in bf16 from then on.
//!
//! f16 has three bits more than bf16, at the same speed; but what is larger than 65 504 overflows it, and networks
//! differ in what they compute. Nobody can tell beforehand: when a pass has a number that is not finite, it is run
//! again in bf16.

use std::sync::{Mutex, OnceLock, PoisonError};

use candle_core::{DType, Tensor};

use super::CudaBackbone;
use crate::error::{Error, Result};
use crate::model::backbone::vit::{LayerFeatures, LayerRequest};
use crate::model::input::Grid;

/// A network in the half precision that holds its numbers.
#[derive(Debug)]
pub struct HalfPrecisionBackbone {
    first: CudaBackbone,
    /// In bf16, once f16 has overflowed.
    bf16_fallback: OnceLock<CudaBackbone>,
    /// Held while it is made.
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
    /// What is computed in.
    pub fn dtype(&self) -> DType {
        match self.active().is_f16() {
            true => DType::F16,
            false => DType::BF16,
        }
    }

    /// As [`CudaBackbone::stage_pixels`].
    ///
    /// # Errors
    /// As there.
    pub fn stage_pixels(&self, photos: &[&[f32]], size: (usize, usize)) -> Result<Tensor> {
        self.first.stage_pixels(photos, size)
    }

    /// As [`CudaBackbone::forward`].
    ///
    /// # Errors
    /// As there; and [`Error::Model`] if a number is not finite in bf16 either.
    pub fn forward(
        &self,
        pixels: &Tensor,
        grid: Grid,
        requests: &[LayerRequest],
        tick: &dyn Fn(usize, usize),
    ) -> Result<Vec<LayerFeatures>> {
        self.run_with_fallback(|network| network.forward(pixels, grid, requests, tick))
    }

    /// As [`CudaBackbone::queries_keys_values`].
    ///
    /// # Errors
    /// As [`HalfPrecisionBackbone::forward`].
    pub fn queries_keys_values(&self, pixels: &Tensor, grid: Grid, block: usize) -> Result<Tensor> {
        self.run_with_fallback(|network| {
            let found = network.queries_keys_values(pixels, grid, block)?;
            let sum: f32 = found.to_dtype(DType::F32)?.sum_all()?.to_scalar()?;
            Ok(sum.is_finite().then_some(found))
        })
    }

    fn active(&self) -> &CudaBackbone {
        self.bf16_fallback.get().unwrap_or(&self.first)
    }

    /// What `run` finds with the first type in which it is finite.
    fn run_with_fallback<T>(&self, run: impl Fn(&CudaBackbone) -> Result<Option<T>>) -> Result<T> {
        let network = self.active();
        if let Some(found) = run(network)? {
            return Ok(found);
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

    fn build_fallback(&self) -> Result<&CudaBackbone> {
        let _one = self
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
