//! `config.json` in the store's folder: the model and the heads of commands that name none, as the user set them.
//!
//! ```json
//! {
//!   "heads": { "depth": "nyu-dpt-vits14", "segment": "street" },
//!   "model": "vitb14",
//!   "avoid": ["nyu-linear-vits14"]
//! }
//! ```
//!
//! `heads` holds the head of each task (depth, segment, classify), `model` the backbone of commands without a head
//! (pca, features, attention, similar, `--clusters`), `avoid` the installed heads that are never taken unless they are
//! named; `dino selfcheck` puts heads there that do not reproduce their known numbers. All keys may be left out, and
//! other keys are refused. `dino config` lists and sets it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::weights::store_errors::cannot_read;
use crate::system::files::write_atomic;

/// The content of `config.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object of settings")]
#[serde(deny_unknown_fields)]
pub struct UserConfig {
    /// Task to the name of its default head.
    #[serde(default)]
    pub heads: BTreeMap<String, String>,
    /// The backbone of commands without a head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Installed heads that are never used unless they are named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub avoid: BTreeSet<String>,
}

const FILE: &str = "config.json";

/// The tasks that heads are for, as commands spell them.
pub const TASKS: [&str; 3] = ["depth", "segment", "classify"];

impl UserConfig {
    /// The file of the store at `root`.
    pub fn path(root: &Path) -> PathBuf {
        root.join(FILE)
    }

    /// Reads the configuration of the store at `root`; without a file it is empty.
    ///
    /// # Errors
    /// If the file cannot be read, or is no configuration of this format.
    pub fn read(root: &Path) -> Result<Self> {
        let path = Self::path(root);
        match fs::read(&path) {
            Ok(bytes) => {
                let wrong = |why: String| {
                    let why = format!("is no configuration of dino ({why}); mend it, or remove it");
                    Error::file(&path, why)
                };
                let config: UserConfig =
                    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
                match config
                    .heads
                    .keys()
                    .find(|task| !TASKS.contains(&task.as_str()))
                {
                    Some(task) => Err(wrong(format!(
                        "`{task}` is no task; expected {}",
                        TASKS.join(", ")
                    ))),
                    None => Ok(config),
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(cannot_read(&path, &error)),
        }
    }

    /// Writes the configuration into the store at `root`.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn write(&self, root: &Path) -> Result<()> {
        let path = Self::path(root);
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::file(&path, error.to_string()))?;
        write_in_store(&path, &bytes)
    }
}

/// Writes the file `path` of the store's folder, by a temporary file and a rename.
///
/// # Errors
/// If it cannot be written; the message names `DINO_HOME`, which chooses another folder.
pub fn write_in_store(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic(path, |writer| writer.write_all(bytes)).map_err(|error| {
        error.with_remedy("; DINO_HOME chooses the folder that models and heads are kept in")
    })
}
