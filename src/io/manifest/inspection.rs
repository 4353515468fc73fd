//! Inspection of a job's existing outputs: how they compare with what a run would make.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::inputs::Source;
use crate::io::manifest::{ExpectedOrigin, Ledger, OutputFreshness, TaskDigests};
use crate::io::output::OutputJob;
use crate::system::files::FileStamp;

/// The existing outputs of a job (one photo of a plan).
pub(super) struct JobInspection {
    pub outputs: Vec<InspectedOutput>,
    /// Stamp of the photo, if an output exists and the photo can be read.
    pub photo: Option<FileStamp>,
    /// The error of the first output that is foreign.
    pub refusal: Option<Error>,
}

/// An existing output.
pub(super) struct InspectedOutput {
    pub extension: &'static str,
    pub path: PathBuf,
    pub freshness: OutputFreshness,
    /// Whether the stamp in its last `done` line is its current one.
    pub is_noted: bool,
}

impl Ledger {
    /// Inspects the existing outputs of a job. At most `max_bytes` are read of a photo that is not a regular file.
    ///
    /// # Errors
    /// As [`Ledger::inspect_output`].
    pub(super) fn inspect_job(
        &self,
        job: &OutputJob,
        digests: &TaskDigests,
        max_bytes: u64,
    ) -> Result<JobInspection> {
        let mut outputs = Vec::new();
        let mut refusal = None;
        let existing: Vec<(&'static str, &Path)> = job.existing_files().collect();
        let photo = match existing.is_empty() || self.is_empty() {
            true => None,
            // An unreadable photo is reported when it is decoded.
            false => self.stamp_of(&job.source, max_bytes).ok(),
        };
        for (extension, path) in existing {
            let (freshness, is_noted) =
                self.inspect_output(path, extension, &job.source, photo.as_ref(), digests)?;
            if freshness == OutputFreshness::Foreign {
                refusal.get_or_insert_with(|| foreign_output_error(path));
            }
            outputs.push(InspectedOutput {
                extension,
                path: path.to_owned(),
                freshness,
                is_noted,
            });
        }
        Ok(JobInspection {
            outputs,
            photo,
            refusal,
        })
    }

    /// Compares an existing output with what would be made from `photo`; also returns whether the stamp in its last
    /// `done` line is its current one.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no manifest, so that only `--force` replaces it; names the output that cannot be
    /// read.
    pub(super) fn inspect_output(
        &self,
        path: &Path,
        extension: &str,
        source: &Source,
        photo: Option<&FileStamp>,
        digests: &TaskDigests,
    ) -> Result<(OutputFreshness, bool)> {
        let Some(manifest) = &self.manifest else {
            if self.target.is_none() {
                return Err(Error::Usage(format!(
                    "{} is there already, and with --no-manifest nothing tells what it was made of; --force replaces it, -o DIR \
                     puts results elsewhere",
                    path.display()
                )));
            }
            let name = self.target.as_deref().unwrap_or(path);
            let beside = match name == path {
                true => String::new(),
                false => format!("-o {}: ", name.display()),
            };
            return Err(Error::Usage(format!(
                "{beside}{} is there already; --force replaces it",
                path.display()
            )));
        };
        // Without the photo's stamp, the result only distinguishes known from foreign outputs.
        let unknown_photo = FileStamp::of_bytes(b"");
        manifest.inspect_output(
            path,
            &ExpectedOrigin {
                photo: photo.unwrap_or(&unknown_photo),
                recipe: &digests.recipe(extension, source),
                fit: digests.fit.as_ref(),
            },
        )
    }

    /// Whether no output is known.
    fn is_empty(&self) -> bool {
        self.manifest
            .as_ref()
            .is_none_or(|manifest| manifest.is_empty())
    }
}

/// The error for a foreign output, which is neither kept nor replaced.
fn foreign_output_error(path: &Path) -> Error {
    Error::file(
        path,
        "is there already, and either dino did not make it or it was changed since; --force replaces it, -o DIR puts results \
         elsewhere",
    )
}
