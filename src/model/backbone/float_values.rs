//! The numbers of a tensor as a slice of `f32`, without a copy where none is needed, and the check that they are
//! finite.

use candle_core::{DType, Device, Storage, Tensor};

use crate::error::{Error, Result};

/// Calls `take` with the numbers of `tensor` as f32, row-major. A contiguous f32 tensor on the CPU is read in place, as
/// a copy of a large photo costs a hundred megabytes; any other is converted first.
///
/// # Errors
/// [`Error::Tensor`] if the tensor cannot be copied from its device or converted.
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

/// Refuses weights that are not finite. `origin` is the file and `name` the tensor, for the message.
///
/// # Errors
/// [`Error::Model`] with file, tensor and count, if any of `values` is NaN or infinite.
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
