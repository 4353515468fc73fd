//! Safetensors files, read tensor by tensor so that a model of four gigabytes needs four, not eight.
//!
//! No memory is taken on the word of a header: its length and offsets are checked against the file's length first. The
//! format is that of the safetensors crate: a u64 length, a JSON header, and the numbers in little-endian order.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::error::{Error, Result};
use crate::model::backbone::tensor_source::with_floats;
use crate::model::weights::store_errors::cannot_write;

/// Longest header that the format allows, in bytes.
const MAX_HEADER: u64 = 100_000_000;

/// An open file, its header read and checked against its length.
#[derive(Debug)]
pub struct TensorFile {
    data_start: u64,
    metadata: Metadata,
}

/// Whether a file that starts with these bytes looks like a safetensors file; [`TensorFile::open`] checks it in full.
pub fn is_safetensors_header(start: &[u8]) -> bool {
    start.get(8) == Some(&b'{')
}

impl TensorFile {
    /// Opens `path` and reads its header.
    ///
    /// # Errors
    /// If the file cannot be read, or its header does not fit its length.
    pub fn open(path: &Path) -> Result<Self> {
        TensorFile::open_or(path, &|error| Error::io(path, error), &|why| {
            Error::file(path, why)
        })
    }

    /// As [`TensorFile::open`], with errors made by the caller: `unread` for a file that cannot be read, `wrong` for
    /// one that is no whole safetensors file.
    pub(super) fn open_or(
        path: &Path,
        unread: &dyn Fn(&std::io::Error) -> Error,
        wrong: &dyn Fn(String) -> Error,
    ) -> Result<Self> {
        let bad = |why: &str| wrong(format!("{why}; expected a whole safetensors file"));
        let io = |error: std::io::Error| unread(&error);
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut start = [0; 8];
        file.read_exact(&mut start)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => bad("shorter than eight bytes"),
                _ => io(error),
            })?;
        let header = u64::from_le_bytes(start);
        if header > MAX_HEADER.min(length.saturating_sub(8)) {
            return Err(bad(&format!(
                "claims a header of {header} bytes in a file of {length}"
            )));
        }
        let mut text = vec![0; header as usize];
        file.read_exact(&mut text).map_err(io)?;
        // Deserialising also checks that offsets follow each other and fit the shapes.
        let metadata: Metadata = serde_json::from_slice(&text)
            .map_err(|error| bad(&format!("its header is wrong ({error})")))?;
        let data_start = 8 + header;
        let expected = data_start + metadata.data_len() as u64;
        if expected != length {
            return Err(bad(&format!(
                "is {length} bytes long where its header promises {expected}"
            )));
        }
        Ok(TensorFile {
            data_start,
            metadata,
        })
    }

    /// Names of all tensors with their shapes.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.metadata
            .tensors()
            .into_iter()
            .map(|(name, info)| (name, info.shape.clone()))
            .collect()
    }

    /// Type, shape and offsets of the tensor `name`.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(name)
    }

    /// Bytes of the file that hold the numbers of the tensor `name`.
    pub fn range(&self, name: &str) -> Option<Range<u64>> {
        let (start, end) = self.metadata.info(name)?.data_offsets;
        Some(self.data_start + start as u64..self.data_start + end as u64)
    }

    /// The text under `key` in the metadata of the header.
    pub fn metadata_value(&self, key: &str) -> Option<&str> {
        let notes = self.metadata.metadata().as_ref()?;
        notes.get(key).map(String::as_str)
    }

    /// Reads every tensor whose name `wanted` accepts, several at once.
    ///
    /// # Errors
    /// If the file cannot be read, or a tensor has a type without floats.
    pub fn read(
        self,
        path: &Path,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Tensor>> {
        let names: Vec<String> = self
            .metadata
            .offset_keys()
            .into_iter()
            .filter(|name| wanted(name))
            .collect();
        names
            .into_par_iter()
            .map(|name| self.read_tensor(path, &name).map(|tensor| (name, tensor)))
            .collect()
    }

    /// Calls `take` with the numbers of the tensor `name` as `f32`. Where the file holds `f32` no tensor is made.
    ///
    /// # Errors
    /// If there is no such tensor, or it cannot be read.
    pub fn consume_tensor(
        &self,
        path: &Path,
        name: &str,
        take: &mut dyn FnMut(&[f32]),
    ) -> Result<()> {
        let is_plain = |info: &&TensorInfo| {
            info.dtype == safetensors::Dtype::F32 && cfg!(target_endian = "little")
        };
        let Some(info) = self.metadata.info(name).filter(is_plain) else {
            return with_floats(&self.read_tensor(path, name)?, take);
        };
        let (start, end) = info.data_offsets;
        thread_local! {
            /// Reused from tensor to tensor: fresh memory costs more than reading into it.
            static NUMBERS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
        }
        let mut numbers = NUMBERS.take();
        let count = (end - start) / 4;
        if numbers.len() < count {
            numbers.resize(count, 0.0);
        }
        self.read_at(path, start, bytemuck::cast_slice_mut(&mut numbers[..count]))?;
        take(&numbers[..count]);
        NUMBERS.set(numbers);
        Ok(())
    }

    /// Fills `bytes` with the numbers from byte `start` on.
    fn read_at(&self, path: &Path, start: usize, bytes: &mut [u8]) -> Result<()> {
        // A handle of its own: positions are not shared.
        File::open(path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(self.data_start + start as u64))?;
                file.read_exact(bytes)
            })
            .map_err(|error| Error::io(path, &error))
    }

    /// Reads one tensor, to the CPU and in the file's type.
    ///
    /// # Errors
    /// If there is no such tensor, it holds no floats, or the file cannot be read.
    pub fn read_tensor(&self, path: &Path, name: &str) -> Result<Tensor> {
        let Some(info) = self.metadata.info(name) else {
            return Err(Error::file(path, format!("has no tensor `{name}`")));
        };
        let dtype = DType::try_from(info.dtype).map_err(|_| {
            Error::file(
                path,
                format!("`{name}` holds {} numbers; expected floats", info.dtype),
            )
        })?;
        let (start, end) = info.data_offsets;
        let read = |bytes: &mut [u8]| self.read_at(path, start, bytes);
        if dtype == DType::F32 && cfg!(target_endian = "little") {
            // Without a copy: read into the tensor's own memory.
            let mut values = vec![0f32; (end - start) / 4];
            read(bytemuck::cast_slice_mut(&mut values))?;
            return Ok(Tensor::from_vec(
                values,
                info.shape.as_slice(),
                &Device::Cpu,
            )?);
        }
        let mut bytes = vec![0; end - start];
        read(&mut bytes)?;
        Ok(Tensor::from_raw_buffer(
            &bytes,
            dtype,
            &info.shape,
            &Device::Cpu,
        )?)
    }
}

/// Writes `tensors` to a new file `path` and syncs it to the disk.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let pairs = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    safetensors::serialize_to_file(pairs, None, path).map_err(|error| match error {
        safetensors::SafeTensorError::IoError(error) => cannot_write(path, &error),
        other => Error::file(path, other.to_string()),
    })?;
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| cannot_write(path, &error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn error_for(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        std::fs::write(&path, bytes).unwrap();
        TensorFile::open(&path).err().unwrap().to_string()
    }

    #[test]
    fn what_is_written_is_read_back_with_nan_and_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let values = Tensor::new(&[[1f32, f32::NAN], [-0.0, 4.0]], &Device::Cpu).unwrap();
        // A transposed view must be written in its own order.
        let tensors = BTreeMap::from([
            ("half".to_owned(), values.to_dtype(DType::BF16).unwrap()),
            ("turned".to_owned(), values.t().unwrap()),
        ]);
        write(&path, &tensors).unwrap();
        let back = TensorFile::open(&path)
            .unwrap()
            .read(&path, |_| true)
            .unwrap();
        assert_eq!(back["half"].dtype(), DType::BF16);
        let turned: Vec<Vec<f32>> = back["turned"].to_vec2().unwrap();
        assert!(
            turned[0][0] == 1.0 && turned[1][0].is_nan() && turned[1][1] == 4.0,
            "{turned:?}"
        );
    }

    #[test]
    fn broken_files_are_refused_without_reading_them() {
        assert!(error_for(b"").contains("shorter than eight bytes"));
        let lie = [1_000_000_000u64.to_le_bytes().as_slice(), b"{}"].concat();
        assert!(error_for(&lie).contains("claims a header of 1000000000 bytes in a file of 10"));
        let junk = [2u64.to_le_bytes().as_slice(), b"{]"].concat();
        assert!(error_for(&junk).contains("its header is wrong"));
        let header = |text: &str, data: usize| {
            let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
            bytes.extend(text.as_bytes());
            bytes.extend(vec![0; data]);
            bytes
        };
        let one = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        assert!(error_for(&header(one, 7)).contains("where its header promises"));
        let misfit = r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#;
        assert!(error_for(&header(misfit, 8)).contains("its header is wrong"));
        let huge = r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#;
        assert!(error_for(&header(huge, 8)).contains("its header is wrong"));
    }
}
