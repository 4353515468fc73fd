//! NVIDIA GPUs: the facts that the driver gives of each, and the reason why none is used.

use std::path::Path;

use candle_core::Device;
use serde::Serialize;

use super::choice::DeviceChoice;
use super::{launcher, open};

/// A GPU as the driver describes it; serialised by `dino info --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Its name for `--device`, such as `cuda:0`.
    pub device: String,
    /// Name of the card.
    pub name: String,
    /// Compute capability, such as `9.0`; absent where the GPU cannot be opened, as are the two values after it.
    pub compute_capability: Option<String>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of free memory, after this program's own context was created.
    pub memory_free: Option<u64>,
    /// Version of the driver, such as `550.54.14`.
    pub driver: Option<String>,
    /// Latest version of CUDA that the driver supports.
    pub driver_cuda: Option<String>,
    /// Version of CUDA that this program was built with.
    pub built_cuda: Option<String>,
    /// The reason why it cannot be used; `None` if it works.
    pub error: Option<String>,
}

impl Gpu {
    /// All facts as one line of text.
    pub fn line(&self) -> String {
        let gb = |bytes: u64| format!("{:.1}", bytes as f64 / 1e9);
        let mut facts = vec![format!("{} {}", self.device, self.name)];
        if let Some(capability) = &self.compute_capability {
            facts.push(format!("compute capability {capability}"));
        }
        if let (Some(free), Some(memory)) = (self.memory_free, self.memory) {
            facts.push(format!("{} of {} GB free", gb(free), gb(memory)));
        }
        if let Some(driver) = &self.driver {
            facts.push(format!("driver {driver}"));
        }
        if let (Some(driver), Some(built)) = (&self.driver_cuda, &self.built_cuda) {
            facts.push(format!("CUDA {driver} (built with {built})"));
        }
        if let Some(error) = &self.error {
            facts.push(format!("cannot be used: {error}"));
        }
        facts.join(", ")
    }
}

/// Every GPU that the driver shows; none in a build without CUDA.
///
/// # Errors
/// The driver's reason, in words.
pub fn list() -> Result<Vec<Gpu>, String> {
    cuda::list()
}

/// Why `--device auto` computes on the processor, and what would change that; `None` where it uses a GPU.
pub fn unused_reason() -> Option<String> {
    if cfg!(feature = "cuda") {
        let mut reason = None;
        let opened = DeviceChoice::Auto.open(&mut |note| reason = Some(note));
        return match opened {
            Ok(Device::Cpu) => reason,
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        };
    }
    if candle_core::utils::metal_is_available() && open::open_metal().is_ok() {
        return None;
    }
    Some(match cfg!(target_os = "macos") {
        true => {
            "this build has no Metal; build with `cargo build --release --features metal`".into()
        }
        false => launcher::absence_reason(),
    })
}

/// Names for `--device` of the devices that work on this machine, the preferred one first; `gpus` are those of
/// [`list`].
pub fn available(gpus: &[Gpu]) -> Vec<String> {
    let works = |gpu: &&Gpu| gpu.error.is_none();
    let mut names: Vec<String> = gpus
        .iter()
        .filter(works)
        .map(|gpu| gpu.device.clone())
        .collect();
    if candle_core::utils::metal_is_available() && open::open_metal().is_ok() {
        names.push("metal".into());
    }
    names.push("cpu".into());
    names
}

/// Version of the NVIDIA driver that the system has loaded; `None` without one, and on other systems than Linux.
pub fn driver_version() -> Option<String> {
    let text = std::fs::read_to_string(Path::new("/proc/driver/nvidia/version")).ok()?;
    find_version(&text)
}

/// The first word made of numbers separated by dots:
/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu …`.
fn find_version(text: &str) -> Option<String> {
    let is_version = |word: &&str| {
        let mut parts = word.split('.');
        word.contains('.') && parts.all(|part| part.parse::<u32>().is_ok())
    };
    text.split_whitespace().find(is_version).map(str::to_owned)
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    pub fn list() -> Result<Vec<super::Gpu>, String> {
        Ok(Vec::new())
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError, result, sys};

    use super::{Gpu, driver_version};
    use crate::error::cuda::readable;
    use crate::model::device::open;

    pub fn list() -> Result<Vec<Gpu>, String> {
        let count = CudaContext::device_count().map_err(|error| explain_driver_error(&error))?;
        let driver = driver_version();
        let driver_cuda = driver_cuda();
        let describe = |number: usize| {
            let context = CudaContext::new(number).ok();
            let memory = context.as_ref().and_then(|it| it.mem_get_info().ok());
            let capability = context.and_then(|it| it.compute_capability().ok());
            // Names need no context, which a GPU that another program has for itself refuses.
            let name = result::device::get(number as i32).and_then(result::device::get_name);
            Gpu {
                device: format!("cuda:{number}"),
                name: name.unwrap_or_else(|error| explain_driver_error(&error)),
                compute_capability: capability.map(|(major, minor)| format!("{major}.{minor}")),
                memory: memory.map(|(_, total)| total as u64),
                memory_free: memory.map(|(free, _)| free as u64),
                driver: driver.clone(),
                driver_cuda: driver_cuda.map(version),
                built_cuda: Some(version(sys::CUDA_VERSION as i32)),
                error: open::open_cuda(number).err(),
            }
        };
        Ok((0..usize::try_from(count).unwrap_or(0))
            .map(describe)
            .collect())
    }

    fn explain_driver_error(error: &DriverError) -> String {
        readable(&error.to_string())
    }

    /// 12040 is CUDA's way to write 12.4.
    fn version(number: i32) -> String {
        format!("{}.{}", number / 1000, number % 1000 / 10)
    }

    #[allow(unsafe_code)] // The driver's own function.
    fn driver_cuda() -> Option<i32> {
        let mut version = 0;
        // SAFETY: it writes one number, and needs no initialisation.
        let result = unsafe { sys::cuDriverGetVersion(&raw mut version) };
        result.result().ok().map(|()| version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_driver_is_found_in_both_forms() {
        for (text, version) in [
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC version:  gcc \
                 version 12.3.0",
                "550.54.14",
            ),
            (
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)",
                "580.65.06",
            ),
        ] {
            assert_eq!(find_version(text).as_deref(), Some(version));
        }
        assert_eq!(find_version("NVRM version: none"), None);
    }

    #[test]
    fn a_gpu_is_told_in_one_line() {
        let gpu = Gpu {
            device: "cuda:0".into(),
            name: "NVIDIA T4".into(),
            compute_capability: Some("7.5".into()),
            memory: Some(16_000_000_000),
            memory_free: Some(15_500_000_000),
            driver: None,
            driver_cuda: Some("12.4".into()),
            built_cuda: Some("13.0".into()),
            error: Some("its memory is full".into()),
        };
        assert_eq!(
            gpu.line(),
            "cuda:0 NVIDIA T4, compute capability 7.5, 15.5 of 16.0 GB free, CUDA 12.4 (built with 13.0), cannot be used: \
             its memory is full"
        );
    }
}
