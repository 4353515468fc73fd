//! The devices that the models are computed on: choice, opening, number type, memory.
//!
//! In: [`DeviceChoice`] and [`DtypeChoice`] of `--device` and `--dtype`. Out: candle's `Device` and `DType`.
//!
//! | `--device` | device |
//! | --- | --- |
//! | `auto` | GPU 0 with CUDA, else Metal, else the processor; a GPU that fails its first computation is skipped |
//! | `cpu` | the processor |
//! | `cuda`, `cuda:N`, `cuda:N,M` | NVIDIA GPUs by their numbers, an error if one does not work |
//! | `metal` | the Apple GPU, an error if it does not work |
//!
//! `--dtype auto` is f16 on NVIDIA GPUs of compute capability 8.0 or later, f32 elsewhere; half precision is refused on
//! the processor. A build without CUDA becomes the GPU build `dino-cuda` where there is one, see [`launcher`].
//! `DINO_CUDA=0` turns that off, `DINO_SIMD` chooses the vector instructions of the CPU kernels.

mod choice;
pub mod gpu;
pub mod launcher;
mod memory;
mod open;
mod simd;

pub use choice::{DeviceChoice, DtypeChoice};
pub use gpu::available;
pub use memory::{free_memory, is_out_of_memory};
pub use open::{compute_capability, name};
pub use simd::{SIMD_VARIABLE, choose_simd, simd};
