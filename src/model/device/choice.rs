//! The device and the number type as the command line names them: parsing and display, nothing is opened.

use std::fmt;
use std::str::FromStr;

/// The value of `--device`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first of CUDA, Metal and CPU that works.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// NVIDIA GPUs, by their numbers: at least one, none twice.
    Cuda(Vec<usize>),
    /// An Apple GPU.
    Metal,
    /// No backbone: constant features in its place, to time everything else on the processor. Not documented in the
    /// help.
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

/// The value of `--dtype`: the number type of the backbone.
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
}
