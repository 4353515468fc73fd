//! Reads the committed goldens (see `tests/goldens/README.md`).
#![allow(dead_code)] // each test file uses a part of it

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use dino::system::environment::EnvVariables;

/// The tensors of `tests/goldens/<name>.safetensors`.
pub struct Golden(HashMap<String, Tensor>);

impl Golden {
    /// Loads the tensors, after choosing the kernels that `DINO_SIMD` names.
    pub fn load(name: &str) -> Self {
        dino::model::device::choose_simd(&EnvVariables::from_process())
            .expect("a path of this machine");
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/goldens/{name}.safetensors"));
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu);
        Self(tensors.unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    pub fn tensor(&self, name: &str) -> &Tensor {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("the golden has no {name}"))
    }

    /// All tensors whose names begin with `prefix`, under the rest of their names.
    pub fn under(&self, prefix: &str) -> impl Iterator<Item = (String, Tensor)> {
        self.0
            .iter()
            .filter_map(move |(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t.clone())))
    }

    /// The numbers of `name` as f64.
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        numbers(self.tensor(name))
    }
}

/// The numbers of a tensor as f64.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor
        .to_dtype(DType::F64)
        .and_then(|t| t.flatten_all()?.to_vec1())
        .expect("a tensor of numbers")
}

/// The largest absolute difference of two slices of the same length.
pub fn max_abs(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "the two sides have different lengths");
    assert!(a.iter().all(|v| v.is_finite()), "not finite");
    a.iter()
        .zip(b)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, f64::max)
}
