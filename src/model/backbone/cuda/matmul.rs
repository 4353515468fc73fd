//! Matrix products in half precision by cuBLASLt, with bias, GELU and the residual in their epilogues. A product's plan
//! (layouts and algorithm) is made once per shape and kept.

use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::cublaslt::result::{self, CublasError};
use candle_core::cuda_backend::cudarc::cublaslt::sys;
use candle_core::cuda_backend::cudarc::driver::CudaStream;
use candle_core::{CudaDevice, DType, Tensor};

use super::memory::{DeviceAddress, empty_tensor};

type CublasResult<T, E = candle_core::Error> = Result<T, E>;

/// NVIDIA's recommendation for Hopper, and more than other cards need.
const WORKSPACE_BYTES: usize = 32 << 20;

/// What is done to a product before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum CudaEpilogue {
    /// Nothing; the product is written as f32.
    Plain,
    /// The bias is added; written in half precision.
    Bias,
    /// The bias and the previous content of the output, the residual stream, are added; both are f32.
    Residual,
    /// The bias is added and GELU applied, in its tanh form: up to 5e-4 off the exact (erf) one, a sixteenth of bf16's
    /// own rounding there. Together with f16, features are 2e-3 off at most; the exact form would take a launch of its
    /// own.
    BiasGelu,
}

/// The shape of `y [rows, outputs] = x [rows, inputs] w [outputs, inputs]^T`, with its epilogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MatmulShape {
    pub rows: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub epilogue: CudaEpilogue,
}

/// A cuBLASLt handle with its workspace, and the plans of the product shapes used so far.
pub(super) struct CublasLt {
    handle: sys::cublasLtHandle_t,
    stream: Arc<CudaStream>,
    workspace: Tensor,
    /// The type of both sides of a product.
    half: sys::cudaDataType,
    plans: Mutex<HashMap<MatmulShape, MatmulPlan>>,
}

#[allow(unsafe_code)]
// SAFETY: cuBLASLt's handles may be used by several threads at once.
unsafe impl Send for CublasLt {}
#[allow(unsafe_code)]
// SAFETY: as above; plans are behind a lock.
unsafe impl Sync for CublasLt {}

impl fmt::Debug for CublasLt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CublasLt")
    }
}

impl CublasLt {
    /// Opens the library, for numbers of type `half`.
    ///
    /// # Errors
    /// If the library cannot be loaded, or the GPU has not enough memory.
    pub fn new(device: &CudaDevice, half: DType) -> CublasResult<Self> {
        Ok(CublasLt {
            handle: result::create_handle().map_err(cublas_error)?,
            stream: device.cuda_stream(),
            workspace: empty_tensor(WORKSPACE_BYTES, DType::U8, device)?,
            half: match half {
                DType::F16 => sys::cudaDataType_t::CUDA_R_16F,
                _ => sys::cudaDataType_t::CUDA_R_16BF,
            },
            plans: Mutex::default(),
        })
    }

    /// Launches `y = epilogue(x w^T + bias)`. `y` is f32 for [`CudaEpilogue::Plain`] and [`CudaEpilogue::Residual`],
    /// else half precision.
    ///
    /// # Errors
    /// If cuBLASLt returns an error.
    #[allow(unsafe_code)] // Calling a library of C.
    pub fn multiply(
        &self,
        shape: MatmulShape,
        x: DeviceAddress,
        (weight, bias): (DeviceAddress, DeviceAddress),
        y: DeviceAddress,
    ) -> CublasResult<()> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = match plans.entry(shape) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(MatmulPlan::new(self.handle, shape, self.half).map_err(cublas_error)?)
            }
        };
        let workspace = DeviceAddress::of(&self.workspace)?;
        let one = 1f32;
        let residual_factor: f32 = match shape.epilogue {
            CudaEpilogue::Residual => 1.0,
            _ => 0.0,
        };
        let pointer = |address: DeviceAddress| address.0 as *const c_void;
        // SAFETY: the plan was made for this shape, of which the caller's tensors are, and the description is not used
        // by another thread while the lock is held.
        unsafe {
            if shape.epilogue != CudaEpilogue::Plain {
                plan.set_bias(bias).map_err(cublas_error)?;
            }
            result::matmul(
                self.handle,
                plan.description,
                (&raw const one).cast(),
                (&raw const residual_factor).cast(),
                pointer(weight),
                plan.weight,
                pointer(x),
                plan.x,
                pointer(y),
                plan.y,
                pointer(y).cast_mut(),
                plan.y,
                &raw const plan.algorithm,
                pointer(workspace).cast_mut(),
                WORKSPACE_BYTES,
                self.stream.cu_stream().cast(),
            )
            .map_err(cublas_error)
        }
    }
}

impl Drop for CublasLt {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: it was opened by `new`, and nothing else holds it. Nothing can be done about a failure.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// The layouts and the algorithm of products of one shape. The library is column-major, so all is transposed: rows of
/// `y` are its columns.
struct MatmulPlan {
    description: sys::cublasLtMatmulDesc_t,
    weight: sys::cublasLtMatrixLayout_t,
    x: sys::cublasLtMatrixLayout_t,
    y: sys::cublasLtMatrixLayout_t,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

impl MatmulPlan {
    #[allow(unsafe_code)] // Calling a library of C.
    fn new(
        handle: sys::cublasLtHandle_t,
        shape: MatmulShape,
        half: sys::cudaDataType,
    ) -> CublasResult<Self, CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Of;
        use sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        use sys::cudaDataType_t::CUDA_R_32F;
        let MatmulShape {
            rows,
            inputs,
            outputs,
            epilogue,
        } = shape;
        let output_type = match epilogue {
            CudaEpilogue::Plain | CudaEpilogue::Residual => CUDA_R_32F,
            CudaEpilogue::Bias | CudaEpilogue::BiasGelu => half,
        };
        let description =
            result::create_matmul_desc(sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, CUDA_R_32F)?;
        let layout = |kind, rows: usize, cols: usize| {
            result::create_matrix_layout(kind, rows as u64, cols as u64, rows as i64)
        };
        let weight = layout(half, inputs, outputs)?;
        let x = layout(half, inputs, rows)?;
        let y = layout(output_type, outputs, rows)?;
        let transposed: i32 = 1; // CUBLAS_OP_T
        let fused = match epilogue {
            CudaEpilogue::Plain => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_DEFAULT,
            CudaEpilogue::Bias | CudaEpilogue::Residual => {
                sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS
            }
            CudaEpilogue::BiasGelu => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_GELU_BIAS,
        };
        // SAFETY: the handles were made above, and the attributes are of the types that the library documents.
        unsafe {
            set_attribute(description, Of::CUBLASLT_MATMUL_DESC_TRANSA, &transposed)?;
            set_attribute(description, Of::CUBLASLT_MATMUL_DESC_EPILOGUE, &fused)?;
            let preference = result::create_matmul_pref()?;
            let bytes = WORKSPACE_BYTES;
            result::set_matmul_pref_attribute(
                preference,
                CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                (&raw const bytes).cast(),
                size_of::<usize>(),
            )?;
            let heuristic =
                result::get_matmul_algo_heuristic(handle, description, weight, x, y, y, preference);
            result::destroy_matmul_pref(preference)?;
            Ok(MatmulPlan {
                algorithm: heuristic?.algo,
                description,
                weight,
                x,
                y,
            })
        }
    }

    /// Sets the address of the bias for the next product.
    #[allow(unsafe_code)] // Calling a library of C.
    unsafe fn set_bias(&self, bias: DeviceAddress) -> CublasResult<(), CublasError> {
        let pointer = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
        // SAFETY: the description is alive; the caller holds it alone.
        unsafe { set_attribute(self.description, pointer, &bias.0) }
    }
}

impl Drop for MatmulPlan {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: they were made by `new`. Nothing can be done about a failure.
        unsafe {
            let _ = result::destroy_matmul_desc(self.description);
            for layout in [self.weight, self.x, self.y] {
                let _ = result::destroy_matrix_layout(layout);
            }
        }
    }
}

/// Sets an attribute of a description.
#[allow(unsafe_code)]
unsafe fn set_attribute<T>(
    description: sys::cublasLtMatmulDesc_t,
    attribute: sys::cublasLtMatmulDescAttributes_t,
    value: &T,
) -> CublasResult<(), CublasError> {
    let value: *const T = value;
    // SAFETY: the caller gives a value of the attribute's type.
    unsafe {
        result::set_matmul_desc_attribute(description, attribute, value.cast(), size_of::<T>())
    }
}

fn cublas_error(error: CublasError) -> candle_core::Error {
    candle_core::Error::msg(format!("cuBLASLt: {error}"))
}
