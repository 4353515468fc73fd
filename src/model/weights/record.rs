//! The record of an installed model, `models/NAME.json` beside its tensors, and the rule for names of models.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::backbone::variants::{self, Variant};

/// Version of the JSON; a later one is refused rather than misread.
pub(super) const FORMAT: u32 = 1;

/// An installed model, as its JSON file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "the record of a model")]
pub struct ModelRecord {
    /// Version of this JSON; now 1.
    pub format: u32,
    /// Name of the model on the command line.
    pub name: String,
    /// Name of the row of [`VARIANTS`](variants::VARIANTS) whose shape it has.
    pub variant: String,
    /// Where it came from: a hub repository and file, a package, or a file of the user's.
    pub source: String,
    /// Licence as its publisher states it; `unknown` for a file of the user's.
    pub license: String,
    /// SHA-256 of the installed file.
    pub sha256: String,
    /// SHA-256 over the tensors, see [`fingerprint`](crate::model::weights::digest::fingerprint).
    pub fingerprint: String,
    /// Size of the installed file in bytes.
    pub bytes: u64,
    /// When it was installed, in seconds since 1970.
    pub imported_at: u64,
}

impl ModelRecord {
    /// The row of [`VARIANTS`](variants::VARIANTS) whose shape the model has.
    ///
    /// # Errors
    /// [`Error::Model`] if a later version of the program installed it and this one has no such row.
    pub fn variant(&self) -> Result<&'static Variant> {
        variants::find(&self.variant).ok_or_else(|| {
            Error::Model(format!(
                "{}: its backbone `{}` is unknown to this version of dino",
                self.name, self.variant
            ))
        })
    }
}

/// Where a checkpoint came from, for its [`ModelRecord`].
#[derive(Debug, Clone)]
pub struct Provenance {
    /// See [`ModelRecord::source`].
    pub source: String,
    /// See [`ModelRecord::license`].
    pub license: String,
}

/// Result of a pull or an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledModel {
    /// The record of the model, new or old.
    pub record: ModelRecord,
    /// Whether the same model was installed before, so that nothing was changed.
    pub already_installed: bool,
}

/// Checks that `name` is a file name on every system: up to 64 lower-case letters, digits, `.`, `_` and `-`, the first
/// a letter or digit.
///
/// # Errors
/// [`Error::Usage`] if it is not.
pub fn check_name(name: &str) -> Result<()> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    let fine = bytes.first().is_some_and(|first| good(*first))
        && bytes.len() <= 64
        && bytes
            .iter()
            .all(|byte| good(*byte) || b"._-".contains(byte));
    if fine {
        Ok(())
    } else {
        Err(Error::Usage(format!(
            "`{name}` cannot name a model; expected up to 64 lower-case letters, digits, `.`, `_` and `-`, \
             beginning with a letter or digit"
        )))
    }
}
