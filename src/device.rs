//! Where the numbers are computed: the choice of device, number type and thread count.

mod memory;

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use candle_core::{DType, Device};

use crate::backbone::cpu::simd::Isa;
use crate::error::{Error, Result};

pub use memory::{free_memory, is_out_of_memory};

/// A device as the user asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first that is there of CUDA, Metal, CPU.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, by its number.
    Cuda(usize),
    /// An Apple GPU.
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            "metal" => Ok(DeviceChoice::Metal),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(DeviceChoice::Cuda)
                .ok_or_else(|| {
                    "expected one of: auto, cpu, cuda, cuda:N (N = 0, 1, …), metal".into()
                }),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(number) => write!(f, "cuda:{number}"),
            DeviceChoice::Metal => f.write_str("metal"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// If this build has no support for it, or the machine has none; `Auto` always ends at the CPU.
    pub fn open(self) -> Result<Device> {
        match self {
            DeviceChoice::Auto => Ok(auto()),
            DeviceChoice::Cpu => Ok(Device::Cpu),
            DeviceChoice::Cuda(number) if candle_core::utils::cuda_is_available() => {
                open_cuda(number).map_err(|error| unusable(self, &error))
            }
            DeviceChoice::Metal if candle_core::utils::metal_is_available() => {
                Device::new_metal(0).map_err(|error| unusable(self, &error))
            }
            DeviceChoice::Cuda(_) => Err(not_built(self, "cuda")),
            DeviceChoice::Metal => Err(not_built(self, "metal")),
        }
    }
}

fn auto() -> Device {
    let cuda = || {
        candle_core::utils::cuda_is_available()
            .then(|| open_cuda(0).ok())
            .flatten()
    };
    let metal = || {
        candle_core::utils::metal_is_available()
            .then(|| Device::new_metal(0).ok())
            .flatten()
    };
    cuda().or_else(metal).unwrap_or(Device::Cpu)
}

/// Opens a GPU with one stream of its own, on which everything happens in the order in which it was asked for, by
/// whichever thread. (CUDA's default stream is another for each thread, and what one left for another to read would not be
/// waited for.)
fn open_cuda(number: usize) -> candle_core::Result<Device> {
    let device = Device::new_cuda_with_stream(number)?;
    #[cfg(feature = "cuda")]
    crate::backbone::cuda::prepare_device(device.as_cuda_device()?)?;
    Ok(device)
}

fn not_built(choice: DeviceChoice, feature: &str) -> Error {
    Error::Usage(format!(
        "--device {choice}: this build has no support for it; build with `cargo build --release --features {feature}`, \
         or use --device cpu"
    ))
}

fn unusable(choice: DeviceChoice, error: &candle_core::Error) -> Error {
    let reason = error.to_string();
    let reason = reason.lines().next().unwrap_or_default();
    Error::Usage(format!(
        "--device {choice}: cannot be used ({reason}); `dino info` lists the devices found"
    ))
}

/// What [`DeviceChoice`] calls an open device.
pub fn name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { .. } => "metal".into(),
    }
}

/// Every device that can be opened here, the preferred one first.
pub fn available() -> Vec<String> {
    let mut names = Vec::new();
    if candle_core::utils::cuda_is_available() {
        names.extend(
            (0..)
                .map_while(|n| open_cuda(n).ok())
                .map(|device| name(&device)),
        );
    }
    if candle_core::utils::metal_is_available() && Device::new_metal(0).is_ok() {
        names.push("metal".into());
    }
    names.push("cpu".into());
    names
}

/// The number type of the backbone, as the user asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DtypeChoice {
    /// f32 everywhere: the exact one.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// bfloat16, on a GPU.
    Bf16,
    /// IEEE half precision, on a GPU.
    F16,
}

impl fmt::Display for DtypeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DtypeChoice::Auto => "auto",
            DtypeChoice::F32 => "f32",
            DtypeChoice::Bf16 => "bf16",
            DtypeChoice::F16 => "f16",
        })
    }
}

impl DtypeChoice {
    /// The type to compute with on `device`.
    ///
    /// # Errors
    /// Half precision on the CPU: processors compute it more slowly and less exactly than f32.
    pub fn on(self, device: &Device) -> Result<DType> {
        let (name, dtype) = match self {
            DtypeChoice::Auto | DtypeChoice::F32 => return Ok(DType::F32),
            DtypeChoice::Bf16 => ("bf16", DType::BF16),
            DtypeChoice::F16 => ("f16", DType::F16),
        };
        match device.is_cpu() {
            true => Err(Error::Usage(format!(
                "--dtype {name} needs a GPU: on the CPU it would be slower and less exact than f32"
            ))),
            false => Ok(dtype),
        }
    }
}

/// Makes all parallel work (ours, rayon's, the matrix products of candle) use `threads` threads.
///
/// To be called first thing in `main`, before any other thread exists: the tensor library takes the count from the
/// environment when it first needs it.
///
/// # Errors
/// [`Error::Usage`] for more than make sense, and if the pool exists already or cannot be started.
#[allow(unsafe_code)] // Setting the environment.
pub fn set_threads(threads: NonZeroUsize) -> Result<()> {
    check_threads("--threads", threads.get())?;
    for variable in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        // SAFETY: no other thread runs yet that could read the environment, which is what the caller promises.
        unsafe { std::env::set_var(variable, threads.to_string()) };
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .build_global()
        .map_err(|error| Error::Usage(format!("--threads {threads}: {error}")))
}

/// Threads that a run may have, whatever the machine has: more only wait for each other.
const MOST_THREADS: usize = 256;

/// Refuses more threads than make sense: more than 256, or than there are processors.
fn check_threads(by: &str, threads: usize) -> Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let most = MOST_THREADS.max(processors);
    match threads <= most {
        true => Ok(()),
        false => Err(Error::Usage(format!(
            "{by} {threads}: expected 1 to {most}; there are {processors} processors here"
        ))),
    }
}

/// As [`set_threads`] refuses its own, refuses what the environment asks of the libraries.
///
/// # Errors
/// [`Error::Usage`] that names the variable.
pub fn check_environment() -> Result<()> {
    for variable in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        let value = std::env::var(variable).unwrap_or_default();
        if value.is_empty() {
            continue;
        }
        match value.trim().parse::<usize>() {
            // 0 is rayon's word for as many as there are processors.
            Ok(threads) => check_threads(variable, threads)?,
            Err(_) => {
                return Err(Error::Usage(format!(
                    "{variable} is `{value}`; expected a number of threads, or nothing"
                )));
            }
        }
    }
    Ok(())
}

/// The vector instructions of this processor that the backbone's kernels use.
pub fn simd() -> &'static str {
    Isa::best().name()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn choices_read_as_they_are_written() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3", "metal"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["gpu", "cuda:", "cuda:-1", "CPU", ""] {
            assert!(
                text.parse::<DeviceChoice>().unwrap_err().contains("cuda:N"),
                "{text}"
            );
        }
    }

    #[test]
    fn half_precision_is_refused_on_the_cpu() {
        assert_eq!(DtypeChoice::Auto.on(&Device::Cpu).unwrap(), DType::F32);
        assert!(
            DtypeChoice::Bf16
                .on(&Device::Cpu)
                .unwrap_err()
                .to_string()
                .contains("--dtype bf16")
        );
    }

    #[test]
    fn threads_are_bounded() {
        assert!(check_threads("--threads", 8).is_ok());
        let error = check_threads("--threads", 9999).unwrap_err().to_string();
        assert!(
            error.starts_with("--threads 9999: expected 1 to "),
            "{error}"
        );
    }

    #[cfg(not(any(feature = "cuda", feature = "metal")))]
    #[test]
    fn a_missing_device_says_how_to_get_it() {
        assert_eq!(name(&DeviceChoice::Auto.open().unwrap()), "cpu");
        let error = DeviceChoice::Cuda(1).open().unwrap_err().to_string();
        assert!(
            error.contains("--device cuda:1") && error.contains("--features cuda"),
            "{error}"
        );
    }
}
