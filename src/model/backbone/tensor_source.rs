//! Where the tensors of a backbone are taken from, one by one, so that weights need not be in memory twice.

use std::collections::BTreeMap;
use std::sync::Mutex;

use candle_core::{DType, Device, Storage, Tensor};

use crate::error::{Error, Result};
use crate::model::backbone::checkpoint::Checkpoint;
use crate::model::backbone::config::BackboneConfig;

/// Tensors under their canonical names, in memory or not.
pub trait TensorSource: Sync {
    /// Checks that the tensors are exactly those of `config`, in a floating-point type.
    fn validate(&self, config: &BackboneConfig) -> Result<()>;

    /// A tensor on the CPU, in its own type.
    fn tensor(&self, name: &str) -> Result<Tensor>;

    /// Calls `take` with a tensor's numbers, for the last time that it is wanted.
    fn consume_tensor(&self, name: &str, take: &mut dyn FnMut(&[f32])) -> Result<()>;

    /// The file that they come from, for messages.
    fn origin(&self) -> String;
}

/// The tensors of another source, each of which must hold finite numbers.
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

/// Refuses weights among which are any that are no numbers, or infinite.
///
/// # Errors
/// [`Error::Model`] with the tensor and its file.
pub fn check_finite(origin: &str, name: &str, values: &[f32]) -> Result<()> {
    match values.iter().filter(|value| !value.is_finite()).count() {
        0 => Ok(()),
        count => Err(Error::Model(format!(
            "{origin}: {count} of the {} numbers of `{name}` are not finite (NaN or infinite), so the weights are damaged; \
             fetch or train them anew",
            values.len()
        ))),
    }
}

/// A checkpoint whose tensors go when they have been lent.
pub(super) struct CheckpointTensorSource {
    origin: String,
    tensors: Mutex<BTreeMap<String, Tensor>>,
}

impl CheckpointTensorSource {
    fn missing_tensor_error(&self, name: &str) -> Error {
        Error::Model(format!("{}: no tensor {name}", self.origin))
    }

    fn lock_tensors(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Tensor>> {
        // Nothing panics while it is held.
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
        let found = self.lock_tensors().get(name).cloned();
        found.ok_or_else(|| self.missing_tensor_error(name))
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

/// Calls `take` with the numbers of a tensor of a CPU where they are: copies of a large photo would cost a hundred
/// megabytes.
pub fn with_floats<R>(tensor: &Tensor, take: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let tensor = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(values) = &*storage else {
        return Err(Error::Model("a tensor that is not on the CPU".into()));
    };
    let values = &values.as_slice::<f32>()?[layout.start_offset()..];
    Ok(take(&values[..layout.shape().elem_count()]))
}
