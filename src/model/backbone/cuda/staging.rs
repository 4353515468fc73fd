//! Upload of pixels to a GPU through pinned (page-locked) memory, so that a copy runs at the speed of the bus and in
//! parallel with the GPU's kernels.

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, PinnedHostSlice};
use candle_core::{CudaDevice, CudaStorage, DType, Device, Result, Shape, Storage, Tensor};
use rayon::prelude::*;

use crate::model::backbone::float_values::with_floats;

/// Numbers that a thread copies at a time.
const COPY_CHUNK: usize = 1 << 18;

/// Pinned memory as large as the largest batch so far.
pub(super) struct StagingBuffer {
    device: CudaDevice,
    pinned: Option<PinnedHostSlice<f32>>,
    /// Recorded after the last copy out of `pinned`, which may not be overwritten before.
    copy_event: Option<CudaEvent>,
}

impl Drop for StagingBuffer {
    fn drop(&mut self) {
        // Nothing can be done about a failure.
        let _ = self.wait_for_copy();
    }
}

impl std::fmt::Debug for StagingBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StagingBuffer")
    }
}

impl StagingBuffer {
    /// A buffer without memory yet.
    pub fn new(device: &CudaDevice) -> Result<Self> {
        Ok(StagingBuffer {
            device: device.clone(),
            pinned: None,
            copy_event: None,
        })
    }

    /// Waits until the last copy has finished.
    fn wait_for_copy(&mut self) -> Result<()> {
        match self.copy_event.take() {
            Some(copied) => copied.synchronize().w(),
            None => Ok(()),
        }
    }

    /// `pixels` on the GPU, as f32 and contiguous.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn upload(&mut self, pixels: &Tensor) -> Result<Tensor> {
        if !matches!(pixels.device(), Device::Cpu) {
            return pixels.to_dtype(DType::F32)?.contiguous();
        }
        let shape = pixels.shape().clone();
        let staged = with_floats(pixels, |pixels| self.upload_parts(&[pixels], shape));
        staged.map_err(candle_core::Error::wrap)?
    }

    /// `parts`, one after the other, on the GPU as a tensor of `shape`.
    ///
    /// # Errors
    /// If there is no memory for them, or they are not as many numbers as the shape has.
    #[allow(unsafe_code)] // Uninitialised memory.
    pub fn upload_parts(&mut self, parts: &[&[f32]], shape: Shape) -> Result<Tensor> {
        let count = shape.elem_count();
        if parts.iter().map(|part| part.len()).sum::<usize>() != count {
            candle_core::bail!("photos of several sizes in one batch");
        }
        let stream = self.device.cuda_stream();
        self.wait_for_copy()?;
        if self
            .pinned
            .as_ref()
            .is_none_or(|pinned| pinned.len() < count)
        {
            self.pinned = None;
            // SAFETY: all that is read of it is written below.
            self.pinned = Some(unsafe { stream.context().alloc_pinned::<f32>(count) }.w()?);
        }
        let Some(pinned) = &mut self.pinned else {
            candle_core::bail!("no memory that the system never moves");
        };
        let to = &mut pinned.as_mut_slice().w()?[..count];
        let mut rest = &mut *to;
        let mut pieces = Vec::new();
        for part in parts {
            let (own, after) = std::mem::take(&mut rest).split_at_mut(part.len());
            pieces.extend(own.chunks_mut(COPY_CHUNK).zip(part.chunks(COPY_CHUNK)));
            rest = after;
        }
        pieces
            .into_par_iter()
            .for_each(|(to, from)| to.copy_from_slice(from));
        // SAFETY: all of it is written by the copy.
        let mut values = unsafe { self.device.alloc::<f32>(count)? };
        self.device.memcpy_htod(&*to, &mut values)?;
        self.copy_event = Some(stream.record_event(None).w()?);
        let storage = CudaStorage::wrap_cuda_slice(values, self.device.clone());
        Ok(Tensor::from_storage(
            Storage::Cuda(storage),
            shape,
            candle_core::op::BackpropOp::none(),
            false,
        ))
    }
}
