//! The folder of installed models: `models/NAME.safetensors` under canonical names, and `models/NAME.json` about it.
//!
//! A model is installed once its JSON is there. This module reads; changes are made under a lock per model, see
//! [`lock`](crate::model::weights::lock). The tensors are written and synced first and both files arrive by rename, so
//! that a killed run leaves only a `.tmp-NAME` folder, which the next one removes.

use std::path::{Path, PathBuf};
use std::{fs, io};

use candle_core::Tensor;
use etcetera::BaseStrategy;

use crate::error::{Error, Result};
use crate::model::backbone::BackboneConfig;
use crate::model::backbone::checkpoint::{Checkpoint, check_shapes};
use crate::model::backbone::tensor_source::TensorSource;
use crate::model::weights::digest;
use crate::model::weights::record::{self, FORMAT, ModelRecord};
use crate::model::weights::store_errors::cannot_read;
use crate::model::weights::tensorfile::TensorFile;
use crate::system::environment::{self, EnvVariables};

/// The variable that says where the store is.
const HOME_VARIABLE: &str = "DINO_HOME";

/// The folder of models and heads. Opening it touches nothing; folders appear with the first installation.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store at `$DINO_HOME`, else in the platform's data folder.
    ///
    /// # Errors
    /// If neither is known, or the variable holds no usable path.
    pub fn open() -> Result<Self> {
        Store::from_variables(&EnvVariables::from_process()).map(|(store, _)| store)
    }

    /// As [`Store::open`] with the environment `variables`; with the name of the variable that chose the folder, or
    /// `default`.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn from_variables(variables: &EnvVariables) -> Result<(Self, &'static str)> {
        if let Some(home) = variables.path(HOME_VARIABLE)? {
            return Ok((Store::at(home), HOME_VARIABLE));
        }
        let base = etcetera::base_strategy::choose_native_strategy()
            .ok()
            .map(|base| base.data_dir())
            .filter(|folder| folder.is_absolute());
        let base = base.ok_or_else(|| {
            Error::Usage("no home folder is known; set DINO_HOME to a folder for models".to_owned())
        })?;
        let source = match variables.os("XDG_DATA_HOME") {
            Some(data) if base == data => "XDG_DATA_HOME",
            _ => "default",
        };
        Ok((Store::at(base.join("dino")), source))
    }

    /// A warning about a relative `DINO_HOME`, which is another folder in every working folder; `None` where it is
    /// absolute or not set.
    pub fn relative_home_warning(variables: &EnvVariables) -> Option<String> {
        let value = variables
            .os(HOME_VARIABLE)
            .filter(|value| !environment::is_independent_path(value))?;
        let path = variables.path(HOME_VARIABLE).ok()??;
        Some(format!(
            "DINO_HOME is `{}`, from the working folder: {}",
            value.display(),
            path.display()
        ))
    }

    /// The store in the folder `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Store { root: root.into() }
    }

    /// The folder of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the models' weights and records.
    pub fn models_folder(&self) -> PathBuf {
        self.root.join("models")
    }

    pub(super) fn record_path(&self, name: &str) -> PathBuf {
        self.models_folder().join(format!("{name}.json"))
    }

    /// The safetensors file of the model `name`, whether or not it exists.
    pub fn tensors_path(&self, name: &str) -> PathBuf {
        self.models_folder().join(format!("{name}.safetensors"))
    }

    /// Names of all installed models, sorted, each with its record or the error of a damaged one.
    ///
    /// # Errors
    /// If the folder exists but cannot be read.
    pub fn list(&self) -> Result<Vec<(String, Result<ModelRecord>)>> {
        let folder = self.models_folder();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cannot_read(&folder, &error)),
        };
        let name_of = |entry: fs::DirEntry| {
            entry
                .file_name()
                .to_str()?
                .strip_suffix(".json")
                .map(str::to_owned)
        };
        let entries: Vec<_> = entries
            .collect::<io::Result<_>>()
            .map_err(|error| cannot_read(&folder, &error))?;
        let mut names: Vec<_> = entries
            .into_iter()
            .filter_map(name_of)
            .filter(|name| record::check_name(name).is_ok())
            .collect();
        names.sort();
        let record = |name: String| self.get(&name).transpose().map(|record| (name, record));
        Ok(names.into_iter().filter_map(record).collect())
    }

    /// The model `name`, checked as far as that is cheap: its JSON, the file's size, and its header against the shape
    /// of its backbone. `None` when it is not installed.
    ///
    /// # Errors
    /// If `name` is no name of a model, or its files are damaged or cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<ModelRecord>> {
        record::check_name(name)?;
        let path = self.record_path(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot_read(&path, &error)),
        };
        let damaged = |why: String| {
            Error::file(
                &path,
                format!("{why}; `dino models rm {name}` and install it anew"),
            )
        };
        let record: ModelRecord =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if record.format != FORMAT {
            let why = format!(
                "has format {}, this version of dino reads {FORMAT}",
                record.format
            );
            return Err(damaged(why));
        }
        if record.name != name {
            return Err(damaged(format!("is about `{}`", record.name)));
        }
        let tensors = self.tensors_path(name);
        let damaged = |why: String| {
            Error::file(
                &tensors,
                format!("{why}; `dino models rm {name}` and install it anew"),
            )
        };
        // Only a file that was read and is wrong counts as damaged: one without permission, or on a failing disk, must
        // not be removed.
        let unread = |error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound => damaged("is missing".to_owned()),
            _ => cannot_read(&tensors, error),
        };
        let bytes = fs::metadata(&tensors)
            .map_err(|error| unread(&error))?
            .len();
        if bytes != record.bytes {
            return Err(damaged(format!(
                "is {bytes} bytes long, was installed with {}",
                record.bytes
            )));
        }
        let variant = record.variant()?;
        let shapes = TensorFile::open_or(&tensors, &unread, &damaged)?.shapes();
        let shapes = shapes
            .iter()
            .map(|(name, shape)| (name.as_str(), shape.as_slice()));
        check_shapes(&tensors.display().to_string(), shapes, &variant.config)?;
        Ok(Some(record))
    }

    /// All tensors of an installed model, in memory.
    ///
    /// # Errors
    /// If the file cannot be read or does not have the shapes of its variant.
    pub fn read(&self, record: &ModelRecord) -> Result<Checkpoint> {
        let path = self.tensors_path(&record.name);
        let tensors = TensorFile::open(&path)?.read(&path, |_| true)?;
        let checkpoint = Checkpoint {
            origin: path.display().to_string(),
            tensors,
        };
        checkpoint.validate(&record.variant()?.config)?;
        Ok(checkpoint)
    }

    /// The tensors of an installed model, to be read one by one.
    ///
    /// # Errors
    /// If the file cannot be opened or its header is wrong.
    pub fn tensors(&self, record: &ModelRecord) -> Result<StoredTensors> {
        let path = self.tensors_path(&record.name);
        Ok(StoredTensors {
            file: TensorFile::open(&path)?,
            path,
        })
    }

    /// Compares the SHA-256 and the fingerprint of the model `name` with those of its installation.
    ///
    /// # Errors
    /// If it is not installed, or one of the two differs.
    pub fn verify(&self, name: &str) -> Result<ModelRecord> {
        let record = self.get(name)?.ok_or_else(|| self.not_installed(name))?;
        let path = self.tensors_path(name);
        let changed = |what: &str, found: String, expected: &str| {
            let why = format!("{what} is {found}, was {expected} when it was installed");
            Error::file(
                &path,
                format!("{why}; `dino models rm {name}` and install it anew"),
            )
        };
        let sha256 = digest::file_sha256(&path)?;
        if sha256 != record.sha256 {
            return Err(changed("its SHA-256", sha256, &record.sha256));
        }
        let fingerprint = digest::fingerprint(&self.read(&record)?.tensors);
        if fingerprint != record.fingerprint {
            return Err(changed(
                "the fingerprint of its tensors",
                fingerprint,
                &record.fingerprint,
            ));
        }
        Ok(record)
    }

    /// The error for a model that is not installed.
    pub fn not_installed(&self, name: &str) -> Error {
        Error::Model(format!(
            "{name} is not installed in {}; `dino models list` shows what is",
            self.root.display()
        ))
    }
}

/// The tensors of an installed model on the disk, read on demand.
#[derive(Debug)]
pub struct StoredTensors {
    path: PathBuf,
    file: TensorFile,
}

impl TensorSource for StoredTensors {
    fn validate(&self, config: &BackboneConfig) -> Result<()> {
        let shapes = self.file.shapes();
        let shapes = shapes
            .iter()
            .map(|(name, shape)| (name.as_str(), shape.as_slice()));
        check_shapes(&self.path.display().to_string(), shapes, config)
    }

    fn tensor(&self, name: &str) -> Result<Tensor> {
        self.file.read_tensor(&self.path, name)
    }

    fn consume_tensor(&self, name: &str, take: &mut dyn FnMut(&[f32])) -> Result<()> {
        self.file.consume_tensor(&self.path, name, take)
    }

    fn origin(&self) -> String {
        self.path.display().to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_folder_is_absolute_and_its_source_is_known() {
        let open = |pairs: &[(&str, &str)]| {
            let home = [("HOME", "/home/ada")];
            Store::from_variables(&EnvVariables::from_pairs(home.iter().chain(pairs).copied()))
        };
        let here = std::env::current_dir().unwrap();
        for (value, path) in [
            ("/lab", "/lab".into()),
            ("~/lab", "/home/ada/lab".into()),
            ("lab", here.join("lab")),
        ] {
            let (store, source) = open(&[("DINO_HOME", value)]).unwrap();
            assert_eq!((store.root(), source), (path.as_path(), "DINO_HOME"));
        }
        let (usual, source) = open(&[("DINO_HOME", "")]).unwrap();
        assert!(
            usual.root().is_absolute() && usual.root().ends_with("dino"),
            "{usual:?}"
        );
        assert_ne!(source, "DINO_HOME");
        let error = open(&[("DINO_HOME", "$LAB/dino")]).unwrap_err().to_string();
        assert!(error.contains("LAB is not set"), "{error}");
        let remark = |value: &str| {
            Store::relative_home_warning(&EnvVariables::from_pairs([("DINO_HOME", value)]))
        };
        assert!(
            remark("lab")
                .unwrap()
                .contains(&here.join("lab").display().to_string())
        );
        assert_eq!(remark("/lab"), None);
        assert_eq!(remark(""), None);
    }
}
