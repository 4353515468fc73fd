//! What frames leave to those behind them, so that a clip can be gone on with where it was left.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result};
use crate::system::files::write_atomic;

/// Named vectors of numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vectors(BTreeMap<String, Vec<f32>>);

impl Vectors {
    /// Adds a vector.
    pub fn put(&mut self, name: impl Into<String>, values: &[f32]) {
        self.0.insert(name.into(), values.to_vec());
    }

    /// The vector of this name.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Those numbered from 0 behind this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &[f32]> {
        (0..).map_while(move |number| self.get(&format!("{name}{number}")))
    }

    /// Adds vectors, numbered from 0 behind this name.
    pub fn put_all<'v>(&mut self, name: &str, all: impl IntoIterator<Item = &'v [f32]>) {
        for (number, values) in all.into_iter().enumerate() {
            self.put(format!("{name}{number}"), values);
        }
    }

    /// Adds all of `others` under `name`.
    pub fn put_under(&mut self, name: &str, others: &Vectors) {
        let others = others.0.iter();
        let named = others.map(|(key, values)| (format!("{name}.{key}"), values.clone()));
        self.0.extend(named);
    }

    /// Those that were put under `name`.
    pub fn under(&self, name: &str) -> Vectors {
        let mine = self.0.iter().filter_map(|(key, values)| {
            let key = key.strip_prefix(name)?.strip_prefix('.')?;
            Some((key.to_owned(), values.clone()))
        });
        Vectors(mine.collect())
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
        Ok(Vectors(all.collect()))
    }
}

/// What all frames up to one leave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClipState {
    /// Of the frames themselves.
    pub frames: Vectors,
    /// Of each task.
    pub tasks: Vec<Vectors>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_read_as_they_were_written() {
        let mut mine = Vectors::default();
        mine.put_all("mean", [&[1.5, -0.1][..], &[]]);
        let mut all = Vectors::default();
        all.put_under("task", &mine);
        all.put("last", &[f32::MIN_POSITIVE]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        all.write(&path).unwrap();
        let read = Vectors::read(&path).unwrap();
        assert_eq!(read, all);
        assert_eq!(read.under("task"), mine);
        assert_eq!(read.under("task").all("mean").count(), 2);
        fs::write(&path, "no").unwrap();
        assert!(Vectors::read(&path).is_err());
    }
}
