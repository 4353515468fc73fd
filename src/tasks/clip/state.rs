//! The state of a clip's tasks between two frames, so that an interrupted film is resumed at the end of a segment. On
//! disk it is a safetensors file of float32 vectors.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result};
use crate::system::files::write_atomic;

/// Named float32 vectors.
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

    /// The vectors that [`NamedVectors::put_numbered`] added under this name, in order.
    pub fn numbered(&self, name: &str) -> impl Iterator<Item = &[f32]> {
        (0..).map_while(move |number| self.get(&format!("{name}{number}")))
    }

    /// Adds vectors under this name with their numbers, from 0, appended.
    pub fn put_numbered<'v>(&mut self, name: &str, all: impl IntoIterator<Item = &'v [f32]>) {
        for (number, values) in all.into_iter().enumerate() {
            self.put(format!("{name}{number}"), values);
        }
    }

    /// Adds all of `others`, with `name.` before their names.
    pub fn put_group(&mut self, name: &str, others: &NamedVectors) {
        let others = others.0.iter();
        let named = others.map(|(key, values)| (format!("{name}.{key}"), values.clone()));
        self.0.extend(named);
    }

    /// The vectors that [`NamedVectors::put_group`] added under `name`.
    pub fn group(&self, name: &str) -> NamedVectors {
        let mine = self.0.iter().filter_map(|(key, values)| {
            let key = key.strip_prefix(name)?.strip_prefix('.')?;
            Some((key.to_owned(), values.clone()))
        });
        NamedVectors(mine.collect())
    }

    /// Writes the vectors as a safetensors file.
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

    /// Reads a file that [`NamedVectors::write`] wrote.
    ///
    /// # Errors
    /// Names the file if it is missing or damaged.
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

/// The state after a frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClipState {
    /// The state of shot detection and of the guide.
    pub frames: NamedVectors,
    /// The state of each task and its running mean.
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
