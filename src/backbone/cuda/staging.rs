//! Pixels on their way to a GPU: through memory that the system never moves, so that copying is at the speed of the bus and
//! beside whatever the GPU computes.

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, PinnedHostSlice};
use candle_core::{CudaDevice, CudaStorage, Device, Result, Storage, Tensor};
use rayon::prelude::*;

use crate::backbone::source::with_floats;

/// Numbers that a thread copies at once.
const PIECE: usize = 1 << 18;

/// Pinned memory of the largest batch so far.
pub(super) struct Staging {
    device: CudaDevice,
    pinned: Option<PinnedHostSlice<f32>>,
    /// When the last copy out of it is through.
    copied: Option<CudaEvent>,
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nothing can be done about a failure.
        let _ = self.wait();
    }
}

impl std::fmt::Debug for Staging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Staging")
    }
}

impl Staging {
    pub fn new(device: &CudaDevice) -> Result<Self> {
        Ok(Staging {
            device: device.clone(),
            pinned: None,
            copied: None,
        })
    }

    fn wait(&mut self) -> Result<()> {
        match self.copied.take() {
            Some(copied) => copied.synchronize().w(),
            None => Ok(()),
        }
    }

    /// `pixels` on the GPU, as f32 and contiguous.
    ///
    /// # Errors
    /// If there is no memory for them.
    #[allow(unsafe_code)] // Memory as it comes.
    pub fn to_device(&mut self, pixels: &Tensor) -> Result<Tensor> {
        if !matches!(pixels.device(), Device::Cpu) {
            return pixels.to_dtype(candle_core::DType::F32)?.contiguous();
        }
        let count = pixels.elem_count();
        let stream = self.device.cuda_stream();
        self.wait()?;
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
        with_floats(pixels, |from| {
            to.par_chunks_mut(PIECE)
                .zip(from.par_chunks(PIECE))
                .for_each(|(to, from)| to.copy_from_slice(from));
        })
        .map_err(candle_core::Error::wrap)?;
        // SAFETY: all of it is written by the copy.
        let mut values = unsafe { self.device.alloc::<f32>(count)? };
        self.device.memcpy_htod(&*to, &mut values)?;
        self.copied = Some(stream.record_event(None).w()?);
        let storage = CudaStorage::wrap_cuda_slice(values, self.device.clone());
        Ok(Tensor::from_storage(
            Storage::Cuda(storage),
            pixels.shape().clone(),
            candle_core::op::BackpropOp::none(),
            false,
        ))
    }
}
