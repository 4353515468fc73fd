//! SHA-256 of files and of models.
//!
//! A file's digest proves that its bytes are those that were published. A model's fingerprint is taken over its
//! canonical tensors, so the same weights have the same fingerprint whatever file they came in; a PCA basis or a head
//! stores it and refuses another model.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use candle_core::Tensor;
use safetensors::View;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// SHA-256 of a file's bytes, as 64 hex digits.
///
/// # Errors
/// If the file cannot be read.
pub fn file_sha256(path: &Path) -> Result<String> {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex(&hash.finalize())),
                read => hash.update(&buffer[..read]),
            }
        }
    };
    read().map_err(|error| Error::io(path, &error))
}

/// SHA-256 of bytes in memory, as 64 hex digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 over canonical tensors in the order of their names: name, data type, shape and little-endian numbers of
/// each; texts and shapes are preceded by their length as a little-endian u64.
pub fn fingerprint(tensors: &BTreeMap<String, Tensor>) -> String {
    let mut hash = Sha256::new();
    for (name, tensor) in tensors {
        for text in [name.as_str(), tensor.dtype().as_str()] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.update((tensor.rank() as u64).to_le_bytes());
        for side in tensor.dims() {
            hash.update((*side as u64).to_le_bytes());
        }
        hash.update(tensor.data());
    }
    hex(&hash.finalize())
}

/// Lower-case hex digits.
fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
            text
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn known_digests() {
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("abc");
        std::fs::write(&file, "abc").unwrap();
        assert_eq!(file_sha256(&file).unwrap(), sha256(b"abc"));
    }

    #[test]
    fn a_fingerprint_depends_on_names_types_shapes_and_numbers() {
        let model = |name: &str, values: &[f32], shape: &[usize], dtype| {
            let tensor = Tensor::from_slice(values, shape, &Device::Cpu)
                .unwrap()
                .to_dtype(dtype)
                .unwrap();
            fingerprint(&BTreeMap::from([(name.to_owned(), tensor)]))
        };
        let one = model("a", &[1., f32::NAN], &[2], DType::F32);
        assert_eq!(one, model("a", &[1., f32::NAN], &[2], DType::F32));
        for other in [
            model("b", &[1., f32::NAN], &[2], DType::F32),
            model("a", &[2., f32::NAN], &[2], DType::F32),
            model("a", &[1., f32::NAN], &[1, 2], DType::F32),
            model("a", &[1., f32::NAN], &[2], DType::F16),
        ] {
            assert_ne!(one, other);
        }
    }
}
