//! What frames leave to those behind them, so that a clip can be gone on with where it was left.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result};
use crate::system::files::write_atomic;

/// Named vectors of numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NamedVectors(BTreeMap<String, Vec<f32>>);

impl NamedVectors {
    /// Adds a vector.
    pub fn put(&mut self, name: impl Into<String>, values: &[f32]) {
        self.0.insert(name.into(), values.to_vec());
    }

    /// The vector of this name.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Those numbered from 0 behind this name.
    pub fn numbered(&self, name: &str) -> impl Iterator<Item = &[f32]> {
        (0..).map_while(move |number| self.get(&format!("{name}{number}")))
    }

    /// Adds vectors, numbered from 0 behind this name.
    pub fn put_numbered<'v>(&mut self, name: &str, all: impl IntoIterator<Item = &'v [f32]>) {
        for (number, values) in all.into_iter().enumerate() {
            self.put(format!("{name}{number}"), values);
        }
    }

    /// Adds all of `others` under `name`.
    pub fn put_group(&mut self, name: &str, others: &NamedVectors) {
        let others = others.0.iter();
        let named = others.map(|(key, values)| (format!("{name}.{key}"), values.clone()));
        self.0.extend(named);
    }

    /// Those that were put under `name`.
    pub fn group(&self, name: &str) -> NamedVectors {
        let mine = self.0.iter().filter_map(|(key, values)| {
            let key = key.strip_prefix(name)?.strip_prefix('.')?;
            Some((key.to_owned(), values.clone()))
        });
        NamedVectors(mine.collect())
    }

    /// Writes them as safetensors.
    ///
    /// # Errors
    /// Names the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::file(path, format!("cannot be written: {error}"))
        };
        let bytes: Vec<(&String, Vec<u8>)> = self
            .0
            .iter()
            .map(|(name, values)| {
                (
                    name,
                    values
                        .iter()
                        .flat_map(|value| value.to_le_bytes())
                        .collect(),
                )
            })
            .collect();
        let views = bytes.iter().map(|(name, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes);
            view.map(|view| (name.as_str(), view))
                .map_err(|error| failed(&error))
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        let whole = safetensors::serialize(views, None::<HashMap<String, String>>);
        let whole = whole.map_err(|error| failed(&error))?;
        write_atomic(path, |writer| writer.write_all(&whole))
    }

    /// Reads them again.
    ///
    /// # Errors
    /// Names the file, if it is missing or damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|error| Error::io(path, &error))?;
        let tensors = SafeTensors::deserialize(&bytes);
        let tensors =
            tensors.map_err(|error| Error::file(path, format!("cannot be understood: {error}")))?;
        let values = |bytes: &[u8]| {
            bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|&four| f32::from_le_bytes(four))
                .collect()
        };
        let all = tensors
            .iter()
            .map(|(name, view)| (name.to_owned(), values(view.data())));
        Ok(NamedVectors(all.collect()))
    }
}

/// What all frames up to one leave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClipState {
    /// Of the frames themselves.
    pub frames: NamedVectors,
    /// Of each task.
    pub tasks: Vec<NamedVectors>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_read_as_they_were_written() {
        let mut mine = NamedVectors::default();
        mine.put_numbered("mean", [&[1.5, -0.1][..], &[]]);
        let mut all = NamedVectors::default();
        all.put_group("task", &mine);
        all.put("last", &[f32::MIN_POSITIVE]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        all.write(&path).unwrap();
        let read = NamedVectors::read(&path).unwrap();
        assert_eq!(read, all);
        assert_eq!(read.group("task"), mine);
        assert_eq!(read.group("task").numbered("mean").count(), 2);
        fs::write(&path, "no").unwrap();
        assert!(NamedVectors::read(&path).is_err());
    }
}
