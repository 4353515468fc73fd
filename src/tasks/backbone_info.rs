//! What is known of a backbone before it is loaded, so that wrong wishes are found first.

use std::path::Path;

use crate::error::{Error, Result};
use crate::model::backbone::BackboneConfig;
use crate::model::weights::{ModelRecord, NamedModel};

/// A backbone by name.
#[derive(Debug, Clone)]
pub struct BackboneInfo {
    /// As it is called.
    pub name: String,
    /// The row of the table whose shape it has.
    pub variant: String,
    /// Of its weights, where they are installed.
    pub fingerprint: Option<String>,
    /// Its sizes.
    pub config: BackboneConfig,
}

impl From<&NamedModel> for BackboneInfo {
    fn from(model: &NamedModel) -> Self {
        BackboneInfo {
            name: model.name.clone(),
            variant: model.variant.name.to_owned(),
            fingerprint: model.fingerprint.clone(),
            config: model.variant.config,
        }
    }
}

/// The weights that a basis or a codebook was fitted to.
#[derive(Debug, Clone)]
pub struct FitOrigin {
    /// What they were called.
    pub model: String,
    /// What they are.
    pub fingerprint: String,
}

impl BackboneInfo {
    /// Refuses what was fitted, at `path`, to the features of other weights.
    ///
    /// # Errors
    /// Names the file and the model that it is of.
    pub fn check_origin(&self, path: &Path, origin: &FitOrigin) -> Result<()> {
        match &self.fingerprint {
            Some(own) if *own != origin.fingerprint => Err(Error::file(
                path,
                format!(
                    "was fitted with {of}, whose features have other directions than those of {}; use --model {of}",
                    self.name,
                    of = origin.model
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Learns the weights; what was read before they were there must be of them.
    ///
    /// # Errors
    /// As [`BackboneInfo::check_origin`].
    pub fn set_weights(
        &mut self,
        record: &ModelRecord,
        fitted: Option<(&Path, &FitOrigin)>,
    ) -> Result<()> {
        self.name.clone_from(&record.name);
        self.fingerprint = Some(record.fingerprint.clone());
        fitted.map_or(Ok(()), |(path, origin)| self.check_origin(path, origin))
    }
}
