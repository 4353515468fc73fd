//! TODO

use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::io::manifest::{Ledger, TaskDigests};
use crate::io::output::create_folder;
use crate::system::files::{Digest, temporary, write_atomic};

/// Name of the folder of fits in the folder of outputs.
const FITS_FOLDER: &str = "manifest.fits";

/// Hex digits of a fit in the name of its file.
const FIT_NAME_DIGITS: usize = 16;

impl Ledger {
    /// The file of a fit.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is gone.
    pub fn fit_file(&self, making: &TaskDigests, fit: &Digest) -> Result<PathBuf> {
        let path = self.fit_path(making, fit);
        match path.filter(|path| path.is_file()) {
            Some(path) => Ok(path),
            None => Err(Error::Usage(format!(
                "--keep-fit: the fit of the {} files that are there is no longer in {FITS_FOLDER}; leave --keep-fit out, so \
                 that all photos are fitted again",
                making.task
            ))),
        }
    }

    /// Keeps a fit for later photos.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn save_fit(&self, making: &TaskDigests, bytes: &[u8]) -> Result<()> {
        let fit = making.fit.as_ref();
        let path = fit.and_then(|fit| self.fit_path(making, fit));
        let Some((path, folder)) = path.as_ref().and_then(|path| Some((path, path.parent()?)))
        else {
            return Ok(());
        };
        create_folder(folder)?;
        temporary::sweep(folder);
        write_atomic(path, |writer| writer.write_all(bytes))
    }

    /// Removes former fits, once all photos are drawn with the one that is now.
    pub fn drop_former_fits(&self, making: &TaskDigests) {
        let fit = making.fit.as_ref();
        let path = fit.and_then(|fit| self.fit_path(making, fit));
        let Some((path, folder)) = path.as_ref().and_then(|path| Some((path, path.parent()?)))
        else {
            return;
        };
        let is_of_kind = |name: &str| {
            let rest = name.strip_prefix(&making.task)?.strip_prefix('-')?;
            let is_digest =
                rest.len() == FIT_NAME_DIGITS && rest.bytes().all(|c| c.is_ascii_hexdigit());
            is_digest.then_some(())
        };
        for former in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = former.file_name();
            let is_former = is_of_kind(&name.to_string_lossy()).is_some();
            if is_former && former.path() != *path {
                // It is of no use, and does no harm.
                let _ = fs::remove_file(former.path());
            }
        }
    }

    pub(super) fn fit_path(&self, making: &TaskDigests, fit: &Digest) -> Option<PathBuf> {
        let folder = self.manifest.as_ref()?.folder().join(FITS_FOLDER);
        let key = making.key_of_fit(fit).to_string();
        Some(folder.join(format!("{}-{}", making.task, key.get(..FIT_NAME_DIGITS)?)))
    }
}
