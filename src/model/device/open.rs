//! Opening of devices, each proven by a first computation, and the number type for each.

use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};

use super::choice::{DeviceChoice, DtypeChoice};
use super::launcher;
use crate::error::cuda::reason;
use crate::error::{Error, Result};

impl DeviceChoice {
    /// Opens the device, for work that only one can do.
    ///
    /// # Errors
    /// As [`DeviceChoice::open_all`]; and if the choice has several devices.
    pub fn open(&self, note: &mut dyn FnMut(String)) -> Result<Device> {
        if let DeviceChoice::Cuda(numbers) = self
            && let [first, _, ..] = numbers[..]
        {
            return Err(Error::Usage(format!(
                "--device {self}: this command computes on one device; name one, such as --device cuda:{first}"
            )));
        }
        let first = self.open_all(note)?.into_iter().next();
        Ok(first.unwrap_or(Device::Cpu))
    }

    /// Name of `device`, which this choice has opened, for messages and reports.
    pub fn name_of(&self, device: &Device) -> String {
        match self {
            DeviceChoice::Null => self.to_string(),
            _ => name(device),
        }
    }

    /// Opens all devices of the choice, in its order, each proven by a first computation. `note` is called with the
    /// reason where `Auto` falls back to the processor although this build could use a GPU.
    ///
    /// # Errors
    /// If this build has no support for one, or the machine has none that works; `Auto` always ends at the processor.
    pub fn open_all(&self, note: &mut dyn FnMut(String)) -> Result<Vec<Device>> {
        let unusable = |choice: &DeviceChoice, why: String| {
            Error::Usage(format!(
                "--device {choice}: {why}; `dino info` shows what is here, and --device cpu works everywhere"
            ))
        };
        match self {
            DeviceChoice::Auto => Ok(vec![auto(note)]),
            DeviceChoice::Cpu | DeviceChoice::Null => Ok(vec![Device::Cpu]),
            DeviceChoice::Cuda(_) if !candle_core::utils::cuda_is_available() => {
                Err(unusable(self, launcher::absence_reason()))
            }
            DeviceChoice::Cuda(numbers) => numbers
                .iter()
                .map(|&number| {
                    open_cuda(number)
                        .map_err(|why| unusable(&DeviceChoice::Cuda(vec![number]), why))
                })
                .collect(),
            DeviceChoice::Metal if !candle_core::utils::metal_is_available() => {
                let why =
                    "this build has no Metal; build with `cargo build --release --features metal`";
                Err(unusable(self, why.into()))
            }
            DeviceChoice::Metal => {
                let device = open_metal().map_err(|why| unusable(self, why))?;
                Ok(vec![device])
            }
        }
    }
}

fn auto(note: &mut dyn FnMut(String)) -> Device {
    let mut unused = Vec::new();
    if candle_core::utils::cuda_is_available() {
        match open_cuda(0) {
            Ok(device) => return device,
            Err(why) => unused.push(why),
        }
    }
    if candle_core::utils::metal_is_available() {
        match open_metal() {
            Ok(device) => return device,
            Err(why) => unused.push(why),
        }
    }
    if !unused.is_empty() {
        note(format!("no GPU is used: {}", unused.join("; ")));
    }
    Device::Cpu
}

/// The NVIDIA GPU of this number, after a first computation: the driver also opens devices for which this build has no
/// kernels. A GPU is opened once per process.
///
/// # Errors
/// The reason why it cannot be used.
pub(crate) fn open_cuda(number: usize) -> Result<Device, String> {
    /// GPUs opened so far. Each opening has handles and kernels of its own, which take long to load, and tensors of two
    /// openings of one GPU cannot be combined.
    static OPEN: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, device)) = open.iter().find(|(of, _)| *of == number) {
        return Ok(device.clone());
    }
    // With a stream of its own. `Device::new_cuda` takes that of the thread which calls, and work on a tensor that is
    // handed to another thread would not wait until the tensor is computed.
    let device = Device::new_cuda_with_stream(number).map_err(|error| reason(&error))?;
    #[cfg(feature = "cuda")]
    device
        .as_cuda_device()
        .and_then(crate::model::backbone::cuda::prepare_device)
        .map_err(|error| reason(&error))?;
    check_computation(&device)?;
    open.push((number, device.clone()));
    Ok(device)
}

/// The Apple GPU, after a first computation.
///
/// # Errors
/// The reason why it cannot be used.
pub(crate) fn open_metal() -> Result<Device, String> {
    let device = Device::new_metal(0).map_err(|error| reason(&error))?;
    check_computation(&device)?;
    Ok(device)
}

/// Computes a small product and sum on `device`, and compares them with the known result.
fn check_computation(device: &Device) -> Result<(), String> {
    let compute = || {
        let matrix = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], device)?;
        let sum = (matrix.matmul(&matrix)? + &matrix)?;
        sum.flatten_all()?.to_vec1::<f32>()
    };
    match compute() {
        Ok(found) if found == [8.0, 12.0, 18.0, 26.0] => Ok(()),
        Ok(found) => Err(format!(
            "it computes wrongly ({found:?} in place of 8, 12, 18, 26); its memory or its driver may be damaged"
        )),
        Err(error) => Err(reason(&error)),
    }
}

/// Name of an open device for `--device`: `cpu`, `cuda:N` or `metal`.
pub fn name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { .. } => "metal".into(),
    }
}

impl DtypeChoice {
    /// The number type of the backbone on `device`.
    ///
    /// # Errors
    /// Half precision on the CPU: processors compute it more slowly and less exactly than f32.
    pub fn resolve(self, device: &Device) -> Result<DType> {
        let (name, dtype) = match self {
            DtypeChoice::Auto => {
                // f16 is as fast as bf16 with three more mantissa bits; its kernels, and bf16 as the fallback, need
                // 8.0.
                let is_new = compute_capability(device).is_some_and(|(major, _)| major >= 8);
                return Ok(if is_new { DType::F16 } else { DType::F32 });
            }
            DtypeChoice::F32 => return Ok(DType::F32),
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

/// Compute capability of a CUDA device as major and minor number; `None` for other devices.
#[cfg(not(feature = "cuda"))]
pub fn compute_capability(_: &Device) -> Option<(i32, i32)> {
    None
}

/// Compute capability of a CUDA device as major and minor number; `None` for other devices.
#[cfg(feature = "cuda")]
pub fn compute_capability(device: &Device) -> Option<(i32, i32)> {
    let device = device.as_cuda_device().ok()?;
    let stream = device.cuda_stream();
    stream.context().compute_capability().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_refused_on_the_cpu() {
        assert_eq!(DtypeChoice::Auto.resolve(&Device::Cpu).unwrap(), DType::F32);
        assert!(
            DtypeChoice::Bf16
                .resolve(&Device::Cpu)
                .unwrap_err()
                .to_string()
                .contains("--dtype bf16")
        );
    }

    #[test]
    fn several_devices_are_refused_where_one_computes() {
        let choice = DeviceChoice::Cuda(vec![1, 0]);
        let error = choice.open(&mut |_| ()).unwrap_err().to_string();
        assert!(
            error.starts_with("--device cuda:1,0: this command computes on one device")
                && error.ends_with("--device cuda:1"),
            "{error}"
        );
    }

    #[test]
    fn a_device_is_proven_by_what_it_computes() {
        check_computation(&Device::Cpu).unwrap();
        let one = DeviceChoice::Cpu.open_all(&mut |_| ()).unwrap();
        assert!(matches!(one[..], [Device::Cpu]));
    }

    #[cfg(not(any(feature = "cuda", feature = "metal")))]
    #[test]
    fn a_missing_device_says_how_to_get_it() {
        let mut notes = Vec::new();
        let auto = DeviceChoice::Auto
            .open(&mut |note| notes.push(note))
            .unwrap();
        assert_eq!((name(&auto), notes), ("cpu".into(), vec![]));
        for (choice, how) in [
            (DeviceChoice::Cuda(vec![1]), "--features cuda"),
            (DeviceChoice::Metal, "--features metal"),
        ] {
            let error = choice.open(&mut |_| ()).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("--device {choice}: ")) && error.contains(how),
                "{error}"
            );
        }
    }
}
