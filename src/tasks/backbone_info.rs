//! [`BackboneInfo`]: name, shape and weights of a backbone before it is loaded, so that options that do not fit it are
//! refused first.

use std::path::Path;

use crate::error::{Error, Result};
use crate::model::backbone::BackboneConfig;
use crate::model::weights::{ModelRecord, NamedModel};

/// A backbone by name, shape and weights.
#[derive(Debug, Clone)]
pub struct BackboneInfo {
    /// The name of its weights, such as `vits14-focus`.
    pub name: String,
    /// The name of its row in the table of [`variants`](crate::model::backbone::variants).
    pub variant: String,
    /// Fingerprint of its weights; `None` before they are installed.
    pub fingerprint: Option<String>,
    /// Its architecture: patch size, width, depth.
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
    /// The model's name.
    pub model: String,
    /// Fingerprint of its weights.
    pub fingerprint: String,
}

impl BackboneInfo {
    /// Refuses the fit in the file at `path` if it was made of the features of other weights.
    ///
    /// # Errors
    /// Names the file and the model of the fit.
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

    /// Sets name and fingerprint of the loaded weights, and checks the fit that was read before they were known.
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
