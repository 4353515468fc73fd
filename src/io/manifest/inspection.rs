//! TODO

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::inputs::Source;
use crate::io::manifest::{ExpectedOrigin, Ledger, OutputFreshness, TaskDigests};
use crate::io::output::OutputJob;
use crate::system::files::FileStamp;

/// The outputs of a job that are there.
pub(super) struct JobInspection {
    pub outputs: Vec<InspectedOutput>,
    /// Of the photo, where anything is there and it can be read.
    pub photo: Option<FileStamp>,
    /// What stands in its way.
    pub refusal: Option<Error>,
}

/// An output that is there.
pub(super) struct InspectedOutput {
    pub extension: &'static str,
    pub path: PathBuf,
    pub freshness: OutputFreshness,
    /// Whether it is noted as done as it is.
    pub is_noted: bool,
}

impl Ledger {
    /// How the outputs of a job stand that are there, and what stands in its way.
    pub(super) fn inspect_job(
        &self,
        job: &OutputJob,
        making: &TaskDigests,
        most: u64,
    ) -> Result<JobInspection> {
        let mut outputs = Vec::new();
        let mut refusal = None;
        let kept: Vec<(&'static str, &Path)> = job.existing_files().collect();
        let photo = match kept.is_empty() || self.is_empty() {
            true => None,
            // That of a photo that cannot be read is told when it is decoded.
            false => self.stamp_of(&job.source, most).ok(),
        };
        for (extension, path) in kept {
            let (standing, is_noted) =
                self.inspect_output(path, extension, &job.source, photo.as_ref(), making)?;
            if standing == OutputFreshness::Foreign {
                refusal.get_or_insert_with(|| foreign(path));
            }
            outputs.push(InspectedOutput {
                extension,
                path: path.to_owned(),
                freshness: standing,
                is_noted,
            });
        }
        Ok(JobInspection {
            outputs,
            photo,
            refusal,
        })
    }

    /// How an output that is there stands, and whether it is noted as done as it is.
    pub(super) fn inspect_output(
        &self,
        path: &Path,
        extension: &str,
        source: &Source,
        photo: Option<&FileStamp>,
        making: &TaskDigests,
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
        // Whether anything is known of it does not depend on the photo.
        let nothing = FileStamp::of_bytes(b"");
        manifest.inspect_output(
            path,
            &ExpectedOrigin {
                photo: photo.unwrap_or(&nothing),
                recipe: &making.recipe(extension, source),
                fit: making.fit.as_ref(),
            },
        )
    }

    fn is_empty(&self) -> bool {
        self.manifest
            .as_ref()
            .is_none_or(|manifest| manifest.is_empty())
    }
}

/// Why a file is neither kept nor replaced.
fn foreign(path: &Path) -> Error {
    Error::file(
        path,
        "is there already, and either dino did not make it or it was changed since; --force replaces it, -o DIR puts results \
         elsewhere",
    )
}
