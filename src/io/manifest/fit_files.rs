//! Saved fits, in `manifest.fits/` below the output folder, which `--keep-fit` applies to later photos.

use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::io::manifest::{Ledger, TaskDigests};
use crate::io::output::create_folder;
use crate::system::files::{Digest, temporary, write_atomic};

/// Name of the folder of saved fits in an output folder.
const FITS_FOLDER: &str = "manifest.fits";

/// Number of hex digits of a fit's key in its file name, `TASK-DIGITS`.
const FIT_NAME_DIGITS: usize = 16;

impl Ledger {
    /// The path of the saved fit with this digest.
    ///
    /// # Errors
    /// [`Error::Usage`] if the file is missing.
    pub fn fit_file(&self, digests: &TaskDigests, fit: &Digest) -> Result<PathBuf> {
        let path = self.fit_path(digests, fit);
        match path.filter(|path| path.is_file()) {
            Some(path) => Ok(path),
            None => Err(Error::Usage(format!(
                "--keep-fit: the fit of the {} files that are there is no longer in {FITS_FOLDER}; leave --keep-fit out, so \
                 that all photos are fitted again",
                digests.task
            ))),
        }
    }

    /// Saves the bytes of the fit `digests.fit`, for later runs with `--keep-fit`. Does nothing without a fit or a
    /// manifest.
    ///
    /// # Errors
    /// Names the file or folder that cannot be written.
    pub fn save_fit(&self, digests: &TaskDigests, bytes: &[u8]) -> Result<()> {
        let fit = digests.fit.as_ref();
        let path = fit.and_then(|fit| self.fit_path(digests, fit));
        let Some((path, folder)) = path.as_ref().and_then(|path| Some((path, path.parent()?)))
        else {
            return Ok(());
        };
        create_folder(folder)?;
        temporary::sweep(folder);
        write_atomic(path, |writer| writer.write_all(bytes))
    }

    /// Removes the task's other saved fits, once all outputs were made with `digests.fit`. Failures are ignored.
    pub fn drop_former_fits(&self, digests: &TaskDigests) {
        let fit = digests.fit.as_ref();
        let path = fit.and_then(|fit| self.fit_path(digests, fit));
        let Some((path, folder)) = path.as_ref().and_then(|path| Some((path, path.parent()?)))
        else {
            return;
        };
        let is_of_kind = |name: &str| {
            let rest = name.strip_prefix(&digests.task)?.strip_prefix('-')?;
            let is_digest =
                rest.len() == FIT_NAME_DIGITS && rest.bytes().all(|c| c.is_ascii_hexdigit());
            is_digest.then_some(())
        };
        for former in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = former.file_name();
            let is_former = is_of_kind(&name.to_string_lossy()).is_some();
            if is_former && former.path() != *path {
                // A leftover file does no harm.
                let _ = fs::remove_file(former.path());
            }
        }
    }

    /// The path of a saved fit, whether or not the file exists; `None` without a manifest.
    pub(super) fn fit_path(&self, digests: &TaskDigests, fit: &Digest) -> Option<PathBuf> {
        let folder = self.manifest.as_ref()?.folder().join(FITS_FOLDER);
        let key = digests.key_of_fit(fit).to_string();
        Some(folder.join(format!("{}-{}", digests.task, key.get(..FIT_NAME_DIGITS)?)))
    }
}
