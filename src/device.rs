//! Where the numbers are computed: the choice of device and number type.

mod memory;

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};

use crate::backbone::cpu::simd::{self, Isa};
use crate::environment::Variables;
use crate::error::{Error, Result};
use crate::gpu::{self, Gpu};
use crate::launcher;

pub use memory::{free_memory, is_out_of_memory};

/// A device as the user asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first that is there of CUDA, Metal, CPU.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// NVIDIA GPUs, by their numbers: at least one, none twice.
    Cuda(Vec<usize>),
    /// An Apple GPU.
    Metal,
    /// None: a constant in place of the network, to measure everything else on the processor. No help tells it.
    Null,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(vec![0])),
            "metal" => Ok(DeviceChoice::Metal),
            "null" => Ok(DeviceChoice::Null),
            _ => {
                let expected =
                    "expected one of: auto, cpu, cuda, cuda:N, cuda:N,M (N, M = 0, 1, …), metal";
                let numbers = text.strip_prefix("cuda:").ok_or(expected)?;
                let numbers: Vec<usize> = numbers
                    .split(',')
                    .map(|number| number.parse().map_err(|_| expected))
                    .collect::<Result<_, _>>()?;
                let is_twice = |at: usize| numbers[..at].contains(&numbers[at]);
                match (0..numbers.len()).find(|&at| is_twice(at)) {
                    Some(at) => Err(format!("GPU {} is named twice", numbers[at])),
                    None => Ok(DeviceChoice::Cuda(numbers)),
                }
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                write!(f, "cuda:{}", numbers.join(","))
            }
            DeviceChoice::Metal => f.write_str("metal"),
            DeviceChoice::Null => f.write_str("null"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device, for work that only one can do.
    ///
    /// # Errors
    /// As [`DeviceChoice::open_all`]; and if several are asked for.
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

    /// What `device`, which it has opened, is called.
    pub fn name_of(&self, device: &Device) -> String {
        match self {
            DeviceChoice::Null => self.to_string(),
            _ => name(device),
        }
    }

    /// Opens all devices that are asked for, in that order, each proven by a first computation. `note` is told why `Auto`
    /// ends at the processor where this build could use a GPU.
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
                Err(unusable(self, launcher::why_absent()))
            }
            DeviceChoice::Cuda(numbers) => numbers
                .iter()
                .map(|&number| {
                    cuda(number).map_err(|why| unusable(&DeviceChoice::Cuda(vec![number]), why))
                })
                .collect(),
            DeviceChoice::Metal if !candle_core::utils::metal_is_available() => {
                let why =
                    "this build has no Metal; build with `cargo build --release --features metal`";
                Err(unusable(self, why.into()))
            }
            DeviceChoice::Metal => {
                let device = metal().map_err(|why| unusable(self, why))?;
                Ok(vec![device])
            }
        }
    }
}

fn auto(note: &mut dyn FnMut(String)) -> Device {
    let mut unused = Vec::new();
    if candle_core::utils::cuda_is_available() {
        match cuda(0) {
            Ok(device) => return device,
            Err(why) => unused.push(why),
        }
    }
    if candle_core::utils::metal_is_available() {
        match metal() {
            Ok(device) => return device,
            Err(why) => unused.push(why),
        }
    }
    if !unused.is_empty() {
        note(format!("no GPU is used: {}", unused.join("; ")));
    }
    Device::Cpu
}

/// The NVIDIA GPU of this number, once it has computed something: the driver opens devices too for which this build has no
/// kernels.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn cuda(number: usize) -> Result<Device, String> {
    /// Those that are open: each has handles and kernels of its own, which take long to load, and tensors of two
    /// openings of one GPU do not go together.
    static OPEN: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, device)) = open.iter().find(|(of, _)| *of == number) {
        return Ok(device.clone());
    }
    // With a stream of its own. `Device::new_cuda` takes that of the thread which calls, and work on a tensor that is
    // handed to another thread would not wait until the tensor is computed.
    let device = Device::new_cuda_with_stream(number).map_err(|error| gpu::reason(&error))?;
    #[cfg(feature = "cuda")]
    device
        .as_cuda_device()
        .and_then(crate::backbone::cuda::prepare_device)
        .map_err(|error| gpu::reason(&error))?;
    prove(&device)?;
    open.push((number, device.clone()));
    Ok(device)
}

/// The Apple GPU, once it has computed something.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn metal() -> Result<Device, String> {
    let device = Device::new_metal(0).map_err(|error| gpu::reason(&error))?;
    prove(&device)?;
    Ok(device)
}

/// Computes a first product and sum on `device`, and compares.
fn prove(device: &Device) -> Result<(), String> {
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
        Err(error) => Err(gpu::reason(&error)),
    }
}

/// What [`DeviceChoice`] calls the devices that work here, the preferred one first; `gpus` are those that the driver
/// shows.
pub fn available(gpus: &[Gpu]) -> Vec<String> {
    let works = |gpu: &&Gpu| gpu.error.is_none();
    let mut names: Vec<String> = gpus
        .iter()
        .filter(works)
        .map(|gpu| gpu.device.clone())
        .collect();
    if candle_core::utils::metal_is_available() && metal().is_ok() {
        names.push("metal".into());
    }
    names.push("cpu".into());
    names
}

/// What [`DeviceChoice`] calls an open device.
pub fn name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { .. } => "metal".into(),
    }
}

/// The number type of the backbone, as the user asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DtypeChoice {
    /// f16 on NVIDIA GPUs from Ampere on, or bf16 where a model's numbers are too large for it; f32 everywhere else.
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
            DtypeChoice::Auto => {
                // As fast as bf16 and eight times as exact. The kernels, and bf16 as a way out, are there from 8.0 on.
                let is_new = gpu::compute_capability(device).is_some_and(|(major, _)| major >= 8);
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

/// Names the vector instructions that the backbone's kernels shall use, in place of the best of this processor's: for
/// benchmarks and bug reports.
pub const SIMD: &str = "DINO_SIMD";

/// Does what `DINO_SIMD` says; to be called before a backbone is loaded.
///
/// # Errors
/// [`Error::Usage`] if this processor has nothing of that name.
pub fn choose_simd(variables: &Variables) -> Result<()> {
    let Some(name) = variables.text(SIMD)? else {
        return Ok(());
    };
    let Some(isa) = Isa::named(name) else {
        let names: Vec<&str> = Isa::available().into_iter().map(Isa::name).collect();
        return Err(Error::Usage(format!(
            "{SIMD} is `{name}`; expected one of what this processor has: {}, or nothing for the first of them",
            names.join(", ")
        )));
    };
    simd::choose(isa);
    Ok(())
}

/// The vector instructions of this processor that the backbone's kernels use.
pub fn simd() -> &'static str {
    Isa::chosen().name()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn choices_read_as_they_are_written() {
        for text in [
            "auto", "cpu", "cuda:0", "cuda:3", "cuda:2,0", "metal", "null",
        ] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(vec![0])));
        assert_eq!("cuda:1,2".parse(), Ok(DeviceChoice::Cuda(vec![1, 2])));
        let twice = "cuda:1,0,1".parse::<DeviceChoice>();
        assert_eq!(twice, Err("GPU 1 is named twice".into()));
        for text in ["gpu", "cuda:", "cuda:-1", "cuda:0,", "cuda:0, 1", "CPU", ""] {
            assert!(
                text.parse::<DeviceChoice>().unwrap_err().contains("cuda:N"),
                "{text}"
            );
        }
        let unknown = "x".parse::<DeviceChoice>().unwrap_err();
        assert!(!unknown.contains("null"), "it is for those who measure");
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
        prove(&Device::Cpu).unwrap();
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
