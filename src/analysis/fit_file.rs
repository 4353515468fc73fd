//! The file format of fits to photos (a PCA basis, a codebook of clusters): one self-describing safetensors file with
//! tensors of f64, and JSON in its metadata under a key that names the kind of fit.
//!
//! Errors say what is wrong with a file, without its name; the caller adds it.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// A kind of fit, and its words in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FitFileKind {
    /// Key of the JSON in the file's metadata.
    pub key: &'static str,
    /// The kind's name with its article: `a PCA basis`.
    pub name: &'static str,
    /// The command-line option that writes such a file.
    pub flag: &'static str,
}

/// A named tensor to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    name: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl NamedTensor {
    /// A tensor of `shape` with `values` in row-major order.
    pub fn new(name: impl Into<String>, shape: Vec<usize>, values: &[f64]) -> Self {
        Self {
            name: name.into(),
            shape,
            bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }
}

/// Serialises `info` and `tensors`.
///
/// # Errors
/// [`Error::Model`] if a tensor has numbers that are not finite, or does not fill its shape.
pub fn to_bytes(
    kind: FitFileKind,
    info: &impl Serialize,
    tensors: &[NamedTensor],
) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| {
        Error::Model(format!("{} could not be serialised: {e}", kind.name))
    };
    for NamedTensor { name, bytes, .. } in tensors {
        let mut values = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|&b| f64::from_le_bytes(b));
        if !values.all(f64::is_finite) {
            return Err(failed(&format!(
                "its {name} have numbers that are not finite"
            )));
        }
    }
    let views = tensors
        .iter()
        .map(|NamedTensor { name, shape, bytes }| {
            Ok((name, TensorView::new(Dtype::F64, shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| failed(&e))?;
    let json = serde_json::to_string(info).map_err(|e| failed(&e))?;
    safetensors::serialize(views, Some(HashMap::from([(kind.key.to_owned(), json)])))
        .map_err(|e| failed(&e))
}

/// An opened file, whose tensors can be read.
#[derive(Debug)]
pub struct FitFile<'a>(SafeTensors<'a>);

impl<'a> FitFile<'a> {
    /// Opens a file of `kind` and parses its JSON.
    ///
    /// # Errors
    /// If `bytes` are not such a file.
    pub fn open<I: DeserializeOwned>(
        kind: FitFileKind,
        bytes: &'a [u8],
    ) -> Result<(I, Self), String> {
        let not_ours = format!(
            "not {}; expected a file written by {}",
            kind.name, kind.flag
        );
        let because = |e: &dyn std::fmt::Display| format!("{not_ours} ({e})");
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| because(&e))?;
        let json = header
            .metadata()
            .as_ref()
            .and_then(|m| m.get(kind.key))
            .ok_or(not_ours.as_str())?;
        let info = serde_json::from_str(json).map_err(|e| because(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| because(&e))?;
        Ok((info, Self(file)))
    }

    /// The shape of the tensor `name`.
    ///
    /// # Errors
    /// If there is no such tensor.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>, String> {
        Ok(self.tensor(name)?.shape().to_vec())
    }

    /// The values of the tensor `name`, row-major.
    ///
    /// # Errors
    /// If there is no such tensor, it is not f64 with `rank` axes, or has numbers that are not finite.
    pub fn read(&self, name: &str, rank: usize) -> Result<Vec<f64>, String> {
        let view = self.tensor(name)?;
        if view.dtype() != Dtype::F64 || view.shape().len() != rank {
            return Err(format!(
                "its tensor {name} is {:?} {:?}, expected F64 of rank {rank}",
                view.dtype(),
                view.shape()
            ));
        }
        let values: Vec<f64> = view
            .data()
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
            .collect();
        if values.iter().any(|v| !v.is_finite()) {
            return Err(format!("its tensor {name} has numbers that are not finite"));
        }
        Ok(values)
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, String> {
        self.0
            .tensor(name)
            .map_err(|_| format!("it has no tensor {name}"))
    }
}
