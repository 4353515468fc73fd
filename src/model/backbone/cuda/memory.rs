//! Device addresses of candle tensors, which kernels take as arguments, and the settings of the device's memory pool.

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{DevicePtr, DeviceRepr};
use candle_core::{CudaDevice, DType, Device, Result, Shape, Storage, Tensor};
use half::{bf16, f16};

/// Prepares a GPU that was opened with one stream, before anything is in its memory: events between streams are not
/// tracked, as there is one stream, and freed memory stays in the pool for the next batch.
///
/// # Errors
/// If the driver returns an error.
#[allow(unsafe_code)] // Settings of the driver.
pub fn prepare_device(device: &CudaDevice) -> Result<()> {
    use candle_core::cuda_backend::cudarc::driver::sys;
    // SAFETY: all that happens on the device happens on its one stream.
    unsafe { device.disable_event_tracking() };
    let stream = device.cuda_stream();
    let context = stream.context();
    context.bind_to_thread().w()?;
    let mut pool = std::ptr::null_mut();
    let release_threshold = u64::MAX;
    // SAFETY: the device is open, and both pointers are to what is written and read.
    unsafe {
        sys::cuDeviceGetDefaultMemPool(&raw mut pool, context.cu_device())
            .result()
            .w()?;
        sys::cuMemPoolSetAttribute(
            pool,
            sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
            (&raw const release_threshold).cast_mut().cast(),
        )
        .result()
        .w()
    }
}

/// Where a tensor begins in the memory of a GPU; valid for as long as the tensor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct DeviceAddress(pub u64);

#[allow(unsafe_code)]
// SAFETY: it is the number that a pointer is in a kernel.
unsafe impl DeviceRepr for DeviceAddress {}

impl DeviceAddress {
    /// No tensor.
    pub const NULL: DeviceAddress = DeviceAddress(0);

    /// The address of a contiguous tensor.
    ///
    /// # Errors
    /// If it is not contiguous, not on a GPU, or of a type that no kernel takes.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            candle_core::bail!("a tensor that is not on a GPU");
        };
        if !layout.is_contiguous() {
            candle_core::bail!("a tensor that is not contiguous");
        }
        let stream = storage.device.cuda_stream();
        let start = match tensor.dtype() {
            DType::F32 => storage.as_cuda_slice::<f32>()?.device_ptr(&stream).0,
            DType::BF16 => storage.as_cuda_slice::<bf16>()?.device_ptr(&stream).0,
            DType::F16 => storage.as_cuda_slice::<f16>()?.device_ptr(&stream).0,
            DType::U32 => storage.as_cuda_slice::<u32>()?.device_ptr(&stream).0,
            DType::U8 => storage.as_cuda_slice::<u8>()?.device_ptr(&stream).0,
            other => candle_core::bail!("no kernel takes {other:?}"),
        };
        let offset = layout.start_offset() * tensor.dtype().size_in_bytes();
        Ok(DeviceAddress(start + offset as u64))
    }
}

/// An uninitialised tensor for a kernel to fill.
#[allow(unsafe_code)] // Its numbers are whatever the memory held.
pub(super) fn empty_tensor(
    shape: impl Into<Shape>,
    dtype: DType,
    device: &CudaDevice,
) -> Result<Tensor> {
    // SAFETY: every kernel writes the whole of what it fills.
    unsafe { Tensor::empty(shape, dtype, &Device::Cuda(device.clone())) }
}
