//! The memory of a GPU: the free bytes, and the errors that mean that it ran out.

use candle_core::Device;

use crate::error::Error;

/// The bytes that are free on a GPU; none on a CPU, where [`memory`](crate::system::memory) knows, and on GPUs that do
/// not tell.
#[cfg(feature = "cuda")]
pub fn free_memory(device: &Device) -> Option<u64> {
    let Device::Cuda(device) = device else {
        return None;
    };
    let stream = device.cuda_stream();
    // Memory that was released a moment ago may not be free before the stream is done.
    stream.synchronize().ok()?;
    let (free, _) = stream.context().mem_get_info().ok()?;
    Some(free as u64)
}

/// The bytes that are free on a GPU; none on a CPU, where [`memory`](crate::system::memory) knows, and on GPUs that do
/// not tell.
#[cfg(not(feature = "cuda"))]
pub fn free_memory(_device: &Device) -> Option<u64> {
    None
}

/// Parts of the libraries' messages, in lower case, that mean a lack of device memory: names of error codes of CUDA,
/// cuBLAS and cuDNN; of Metal the failed operation and the name of its code.
const OUT_OF_MEMORY_MESSAGES: [&str; 5] = [
    "cuda_error_out_of_memory",
    "_status_alloc_failed",
    "out of memory",
    "failed to create metal resource: buffer",
    "erroroutofmemory",
];

/// Whether `error` is a lack of memory, so that a smaller batch may succeed.
pub fn is_out_of_memory(error: &Error) -> bool {
    match error {
        Error::Memory(_) => true,
        // The library's error is wrapped several times, and its type exists only in builds for its device.
        Error::Tensor(error) => {
            let text = error.to_string().to_ascii_lowercase();
            OUT_OF_MEMORY_MESSAGES
                .iter()
                .any(|words| text.contains(words))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(text: &str) -> Error {
        Error::Tensor(candle_core::Error::Msg(text.into()))
    }

    #[test]
    fn a_cpu_has_no_memory_of_a_device() {
        assert_eq!(free_memory(&Device::Cpu), None);
    }

    #[test]
    fn a_lack_of_memory_is_told_from_other_failures() {
        for text in [
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, <Failure when calling cuGetErrorString()>)",
            "CublasError(CUBLAS_STATUS_ALLOC_FAILED)",
            "CudnnError(CUDNN_STATUS_ALLOC_FAILED)",
            "Metal error Failed to create metal resource: Buffer",
            "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
        ] {
            assert!(is_out_of_memory(&tensor(text)), "{text}");
        }
        for text in [
            "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access was encountered\")",
            "CublasError(CUBLAS_STATUS_NOT_INITIALIZED)",
            "shape mismatch in matmul, lhs: [1, 2], rhs: [3, 4]",
            "Metal error Failed to create metal resource: CommandQueue",
        ] {
            assert!(!is_out_of_memory(&tensor(text)), "{text}");
        }
    }

    #[test]
    fn wrappers_do_not_hide_it() {
        let inner =
            std::io::Error::other("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")");
        let cuda = candle_core::Error::Cuda(Box::new(inner));
        assert!(is_out_of_memory(&Error::Tensor(cuda.context("block 3"))));
    }

    #[test]
    fn only_what_ran_is_looked_at() {
        assert!(is_out_of_memory(&Error::Memory("no 3.1 GB left".into())));
        let about_a_file = Error::file("out of memory.jpg", "out of memory");
        assert!(!is_out_of_memory(&about_a_file));
        assert!(!is_out_of_memory(&Error::Interrupted));
    }
}
