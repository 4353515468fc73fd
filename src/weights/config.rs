//! `config.json` in the store's folder: what the user chose once and for all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::heads::write_in_store;
use crate::weights::remedy::cannot_read;

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Task to the name of its default head.
    #[serde(default)]
    pub heads: BTreeMap<String, String>,
}

const FILE: &str = "config.json";

impl Config {
    /// Reads the configuration of the store at `root`; none is an empty one.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Error::file(&path, format!("is no configuration of dino: {error}"))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(cannot_read(&path, &error)),
        }
    }

    /// Writes it.
    pub fn write(&self, root: &Path) -> Result<()> {
        let path = root.join(FILE);
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::file(&path, error.to_string()))?;
        write_in_store(&path, &bytes)
    }
}
