//! Where the numbers are computed: the choice of device and number type.

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
