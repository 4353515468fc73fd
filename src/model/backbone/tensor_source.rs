//! The source that the tensors of a backbone are read from, one by one, while it is built; a whole copy of the weights
//! beside it is not needed.
//!
//! [`TensorSource`] is implemented by a checkpoint in memory (here) and by the model store, which reads a mapped file.

use std::collections::BTreeMap;
use std::sync::Mutex;

use candle_core::Tensor;

use crate::error::{Error, Result};
use crate::model::backbone::checkpoint::Checkpoint;
use crate::model::backbone::config::BackboneConfig;
use crate::model::backbone::float_values::check_finite;
pub use crate::model::backbone::float_values::with_floats;

/// Tensors under their canonical names (see [`BackboneConfig::tensor_shapes`]), in memory or in a file.
pub trait TensorSource: Sync {
    /// Checks that the tensors are exactly those of `config`, in a floating-point type.
    ///
    /// # Errors
    /// [`Error::Model`] names the first tensor that is missing, of another shape or type, or not part of the backbone.
    fn validate(&self, config: &BackboneConfig) -> Result<()>;

    /// The tensor `name` on the CPU, in the number type it was published in.
    ///
    /// # Errors
    /// If there is no such tensor, or it cannot be read.
    fn tensor(&self, name: &str) -> Result<Tensor>;

    /// Calls `take` with the numbers of the tensor `name` as f32, row-major. The tensor is not read again, so its
    /// memory may be freed.
    ///
    /// # Errors
    /// If there is no such tensor, or it cannot be read.
    fn consume_tensor(&self, name: &str, take: &mut dyn FnMut(&[f32])) -> Result<()>;

    /// The file that the tensors come from, for messages.
    fn origin(&self) -> String;
}

/// The tensors of another source, refused with an error where they hold a NaN or an infinity.
pub(super) struct FiniteTensorSource<'a>(pub &'a dyn TensorSource);

impl TensorSource for FiniteTensorSource<'_> {
    fn validate(&self, config: &BackboneConfig) -> Result<()> {
        self.0.validate(config)
    }

    fn tensor(&self, name: &str) -> Result<Tensor> {
        let tensor = self.0.tensor(name)?;
        with_floats(&tensor, |values| check_finite(&self.origin(), name, values))??;
        Ok(tensor)
    }

    fn consume_tensor(&self, name: &str, take: &mut dyn FnMut(&[f32])) -> Result<()> {
        let mut checked = Ok(());
        self.0.consume_tensor(name, &mut |values| {
            checked = check_finite(&self.origin(), name, values);
            take(values);
        })?;
        checked
    }

    fn origin(&self) -> String {
        self.0.origin()
    }
}

/// The tensors of a checkpoint in memory, each of which is dropped when it has been consumed.
pub(super) struct CheckpointTensorSource {
    origin: String,
    tensors: Mutex<BTreeMap<String, Tensor>>,
}

impl CheckpointTensorSource {
    fn missing_tensor_error(&self, name: &str) -> Error {
        Error::Model(format!("{}: no tensor {name}", self.origin))
    }

    fn lock_tensors(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Tensor>> {
        // Nothing panics while the lock is held.
        self.tensors
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl From<Checkpoint> for CheckpointTensorSource {
    fn from(checkpoint: Checkpoint) -> Self {
        Self {
            origin: checkpoint.origin,
            tensors: Mutex::new(checkpoint.tensors),
        }
    }
}

impl TensorSource for CheckpointTensorSource {
    fn validate(&self, config: &BackboneConfig) -> Result<()> {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            // Tensors are counted references.
            tensors: self.lock_tensors().clone(),
        };
        checkpoint.validate(config)
    }

    fn tensor(&self, name: &str) -> Result<Tensor> {
        let tensor = self.lock_tensors().get(name).cloned();
        tensor.ok_or_else(|| self.missing_tensor_error(name))
    }

    fn consume_tensor(&self, name: &str, take: &mut dyn FnMut(&[f32])) -> Result<()> {
        let tensor = self.lock_tensors().remove(name);
        with_floats(
            &tensor.ok_or_else(|| self.missing_tensor_error(name))?,
            take,
        )
    }

    fn origin(&self) -> String {
        self.origin.clone()
    }
}
