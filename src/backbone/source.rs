//! Where the tensors of a backbone are taken from, one by one, so that weights need not be in memory twice.

use std::collections::BTreeMap;
use std::sync::Mutex;

use candle_core::{DType, Device, Storage, Tensor};

use crate::backbone::checkpoint::Checkpoint;
use crate::backbone::config::BackboneConfig;
use crate::error::{Error, Result};

/// Tensors under their canonical names, in memory or not.
pub trait TensorSource: Sync {
    /// Checks that the tensors are exactly those of `config`, in a floating-point type.
    fn validate(&self, config: &BackboneConfig) -> Result<()>;

    /// A tensor on the CPU, in its own type.
    fn tensor(&self, name: &str) -> Result<Tensor>;

    /// Calls `take` with a tensor's numbers, for the last time that it is wanted.
    fn lend(&self, name: &str, take: &mut dyn FnMut(&[f32])) -> Result<()>;
}

/// A checkpoint whose tensors go when they have been lent.
pub(super) struct InMemory {
    origin: String,
    tensors: Mutex<BTreeMap<String, Tensor>>,
}

impl InMemory {
    fn missing(&self, name: &str) -> Error {
        Error::Model(format!("{}: no tensor {name}", self.origin))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Tensor>> {
        // Nothing panics while it is held.
        self.tensors
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl From<Checkpoint> for InMemory {
    fn from(checkpoint: Checkpoint) -> Self {
        Self {
            origin: checkpoint.origin,
            tensors: Mutex::new(checkpoint.tensors),
        }
    }
}

impl TensorSource for InMemory {
    fn validate(&self, config: &BackboneConfig) -> Result<()> {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            // Tensors are counted references.
            tensors: self.locked().clone(),
        };
        checkpoint.validate(config)
    }

    fn tensor(&self, name: &str) -> Result<Tensor> {
        let found = self.locked().get(name).cloned();
        found.ok_or_else(|| self.missing(name))
    }

    fn lend(&self, name: &str, take: &mut dyn FnMut(&[f32])) -> Result<()> {
        let tensor = self.locked().remove(name);
        with_floats(&tensor.ok_or_else(|| self.missing(name))?, take)
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
