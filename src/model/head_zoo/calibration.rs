//! The calibration of a depth head for one camera and place, as `dino calibrate depth` fitted it:
//! `<name>.calibration.json`, in the store's `heads` folder or beside the head's own file. Every command that reads
//! depths with that head applies it.
//!
//! ```json
//! {
//!   "head": "indoor",
//!   "digest": "5f1c…",
//!   "scale": 0.913,
//!   "input": "size 480",
//!   "data": "kitchen",
//!   "photos": 120,
//!   "folds": 5,
//!   "log_rmse": { "before": 0.212, "after": 0.148 }
//! }
//! ```
//!
//! `scale` multiplies metres; with a `shift` (1/m) the head gives relative inverse depth, and metres are
//! `1 / (scale * value + shift)`. `digest` is the BLAKE3 digest of the head's file, `input` the size and padding of the
//! photos, `log_rmse` the held-out RMSE of `ln` depth without and with the calibration.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::head::{Head, file};
use crate::model::head_zoo::store::{HeadLocation, HeadStore, LocatedHead};
use crate::model::weights::config::write_in_store;
use crate::model::weights::store_errors::{cannot_read, cannot_write};
use crate::system::files::Digest;

/// Scale and shift from the depths of one head to the metres of one camera and place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthCalibration {
    /// The head's name.
    pub head: String,
    /// Digest of the head, see [`digest_of`].
    pub digest: Digest,
    /// Factor of metres (no unit), or with [`Self::shift`] of relative inverse depth (1/m).
    pub scale: f64,
    /// Added to scaled inverse depth, 1/m; none of a head that gives metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<f64>,
    /// Input settings of the fit, such as `size 480`.
    pub input: String,
    /// The data set that it was fitted to.
    pub data: String,
    /// Number of its photos.
    pub photos: usize,
    /// Folds of the cross-validation.
    pub folds: usize,
    /// RMSE of `ln` depth on the held-out photos.
    pub log_rmse: CalibrationRmse,
}

/// RMSE of `ln` depth without and with a calibration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an RMSE before and after")]
#[serde(deny_unknown_fields)]
pub struct CalibrationRmse {
    /// Without the calibration.
    pub before: f64,
    /// With the calibration.
    pub after: f64,
}

impl DepthCalibration {
    /// The formula that converts the head's values to metres, as text.
    pub fn formula(&self) -> String {
        match self.shift {
            Some(shift) if shift < 0.0 => {
                format!("1 / ({} * value - {})", self.scale, shift.abs())
            }
            Some(shift) => format!("1 / ({} * value + {shift})", self.scale),
            None => format!("{} times what the head says", self.scale),
        }
    }

    /// The calibration in one sentence, without a full stop.
    pub fn summary(&self) -> String {
        let how = self.formula();
        format!(
            "metres are {how}, as `dino calibrate` fitted them to {} photos of {}",
            self.photos, self.data
        )
    }

    /// A warning where this run's `input` settings are not those of the fit; `None` where they are.
    pub fn input_mismatch(&self, input: &str) -> Option<String> {
        (self.input != input).then(|| {
            format!(
                "the calibration of {} was fitted with {}, and this run has {input}: distances may come out wrong; \
                 --no-calibration leaves it out",
                self.head, self.input
            )
        })
    }
}

/// Digest of a head's metadata and weights.
///
/// # Errors
/// If its weights are not finite.
pub fn digest_of(head: &Head) -> Result<Digest> {
    let bytes = file::to_bytes(head);
    let bytes = bytes.map_err(|why| Error::Model(format!("the head {} {why}", head.meta.name)))?;
    Ok(Digest::of_bytes(&bytes))
}

impl LocatedHead {
    /// Its name, or the file that it was read from, as a command line names it.
    pub fn display_name(&self) -> String {
        match &self.location {
            HeadLocation::File(path) => path.display().to_string(),
            HeadLocation::Builtin | HeadLocation::Installed(_) => self.head.meta.name.clone(),
        }
    }
}

impl HeadStore {
    /// Path of a head's calibration, whether there is one or not.
    ///
    /// # Errors
    /// If the head's name is not valid (see [`HeadStore::path`]).
    pub fn calibration_path(&self, found: &LocatedHead) -> Result<PathBuf> {
        let path = match &found.location {
            HeadLocation::Builtin => self.path(&found.head.meta.name)?,
            HeadLocation::Installed(path) => path.clone(),
            // Beside the file itself, also where a link names it.
            HeadLocation::File(path) => fs::canonicalize(path).unwrap_or_else(|_| path.clone()),
        };
        Ok(Self::calibration_path_for(&path))
    }

    /// Path of the calibration of the head in the file `head`.
    pub fn calibration_path_for(head: &Path) -> PathBuf {
        head.with_extension("calibration.json")
    }

    /// The calibration of a head, if there is one. One that was fitted to another head of that name is left out, with a
    /// call of `warn`.
    ///
    /// # Errors
    /// If its file cannot be read, or is no calibration for this kind of head.
    pub fn calibration(
        &self,
        found: &LocatedHead,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<DepthCalibration>> {
        if found.head.meta.task_name() != "depth" {
            return Ok(None);
        }
        let path = self.calibration_path(found)?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot_read(&path, &error)),
        };
        let name = found.display_name();
        let wrong = |why: &str| {
            let why = format!(
                "is no calibration of depths ({why}); `dino calibrate remove {name}` removes it"
            );
            Error::file(&path, why)
        };
        let read: DepthCalibration =
            serde_json::from_slice(&bytes).map_err(|error| wrong(&error.to_string()))?;
        let is_inverse = found.head.meta.is_inverse_depth();
        let numbers = [read.scale, read.shift.unwrap_or(0.0)];
        if numbers.iter().any(|number| number.abs() > 1e12) || read.scale < 1e-12 {
            return Err(wrong("its numbers are beyond all measure"));
        }
        if read.shift.is_some() != is_inverse {
            let why = match is_inverse {
                true => "it lacks the shift that relative inverse depth has",
                false => "it has a shift, and the head gives metres",
            };
            return Err(wrong(why));
        }
        if read.digest != digest_of(&found.head)? {
            warn(format!(
                "{} was fitted to another head than {name}, and is left out; `dino calibrate depth` fits it anew, \
                 `dino calibrate remove {name}` removes it",
                path.display(),
            ));
            return Ok(None);
        }
        Ok(Some(read))
    }

    /// Writes a calibration beside its head, and returns its path.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_calibration(
        &self,
        found: &LocatedHead,
        calibration: &DepthCalibration,
    ) -> Result<PathBuf> {
        let path = self.calibration_path(found)?;
        let mut text = serde_json::to_vec_pretty(calibration)
            .map_err(|error| Error::Model(format!("the calibration cannot be written: {error}")))?;
        text.push(b'\n');
        write_in_store(&path, &text)?;
        Ok(path)
    }

    /// Removes the calibration at `path`, and returns whether there was one.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove_calibration(path: &Path) -> Result<bool> {
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(cannot_write(path, &error)),
        }
    }
}
