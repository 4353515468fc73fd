//! A network in f16 for as long as that holds its numbers, and in bf16 from then on.
//!
//! f16 has three bits more than bf16, at the same speed; but what is larger than 65 504 overflows it, and networks
//! differ in what they compute. Nobody can tell beforehand: when a pass has a number that is not finite, it is run
//! again in bf16.

use std::sync::{Mutex, OnceLock, PoisonError};

use candle_core::{DType, Tensor};

use super::Network;
use crate::error::{Error, Result};
use crate::model::backbone::vit::{LayerFeatures, LayerRequest};
use crate::model::input::Grid;

/// A network in the half precision that holds its numbers.
#[derive(Debug)]
pub struct Halves {
    first: Network,
    /// In bf16, once f16 has overflowed.
    wide: OnceLock<Network>,
    /// Held while it is made.
    making: Mutex<()>,
}

impl From<Network> for Halves {
    fn from(first: Network) -> Self {
        Halves {
            first,
            wide: OnceLock::new(),
            making: Mutex::new(()),
        }
    }
}

impl Halves {
    /// What is computed in.
    pub fn dtype(&self) -> DType {
        match self.best().is_f16() {
            true => DType::F16,
            false => DType::BF16,
        }
    }

    /// As [`Network::stage`].
    ///
    /// # Errors
    /// As there.
    pub fn stage(&self, photos: &[&[f32]], size: (usize, usize)) -> Result<Tensor> {
        self.first.stage(photos, size)
    }

    /// As [`Network::forward`].
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
        self.first_finite(|network| network.forward(pixels, grid, requests, tick))
    }

    /// As [`Network::queries_keys_values`].
    ///
    /// # Errors
    /// As [`Halves::forward`].
    pub fn queries_keys_values(&self, pixels: &Tensor, grid: Grid, block: usize) -> Result<Tensor> {
        self.first_finite(|network| {
            let found = network.queries_keys_values(pixels, grid, block)?;
            let sum: f32 = found.to_dtype(DType::F32)?.sum_all()?.to_scalar()?;
            Ok(sum.is_finite().then_some(found))
        })
    }

    fn best(&self) -> &Network {
        self.wide.get().unwrap_or(&self.first)
    }

    /// What `run` finds with the first type in which it is finite.
    fn first_finite<T>(&self, run: impl Fn(&Network) -> Result<Option<T>>) -> Result<T> {
        let network = self.best();
        if let Some(found) = run(network)? {
            return Ok(found);
        }
        let wider = match network.is_f16() {
            true => run(self.widen()?)?,
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

    fn widen(&self) -> Result<&Network> {
        let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wide) = self.wide.get() {
            return Ok(wide);
        }
        let wide = self.first.in_bf16()?;
        Ok(self.wide.get_or_init(|| wide))
    }
}
