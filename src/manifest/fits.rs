//! What is fitted to several photos at once, of which a folder has one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::console::Console;
use crate::error::{Error, Result};
use crate::manifest::{Digest, Ledger, Making};
use crate::output::{Plan, create_folder, write_atomic};

/// Name of the folder of fits in the folder of outputs.
const FITS_FOLDER: &str = "manifest.fits";

/// Hex digits of a fit in the name of its file.
const FIT_NAME: usize = 16;

impl Ledger {
    /// Digest of what is fitted to photos, in their order: with the number of its page, the digest of each.
    pub fn fit_to(photos: impl Iterator<Item = (Digest, u32)>) -> Digest {
        let mut all = Vec::new();
        for (photo, page) in photos {
            all.extend(photo.as_bytes());
            all.extend(page.to_le_bytes());
        }
        Digest::of_bytes(&all)
    }

    /// The fit of those outputs of the plan that were made by these settings.
    ///
    /// # Errors
    /// [`Error::Usage`] if there are several; and if an output cannot be read.
    pub fn former_fit(&self, plan: &Plan, making: &Making) -> Result<Option<Digest>> {
        let Some(manifest) = &self.manifest else {
            return Ok(None);
        };
        let mut former = None;
        for job in &plan.jobs {
            for (extension, path) in job.kept() {
                let recipe = making.recipe(extension, &job.source);
                let Some(fit) = manifest.fit_of(path, &recipe)? else {
                    continue;
                };
                if *former.get_or_insert(fit) != fit {
                    return Err(Error::Usage(format!(
                        "--keep-fit: {} was made with another fit than the files before it; leave --keep-fit out, so that all \
                         get one",
                        path.display()
                    )));
                }
            }
        }
        Ok(former)
    }

    /// The file of a fit.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is gone.
    pub fn fit_file(&self, kind: &str, fit: &Digest) -> Result<PathBuf> {
        let path = self.fit_path(kind, fit);
        match path.filter(|path| path.is_file()) {
            Some(path) => Ok(path),
            None => Err(Error::Usage(format!(
                "--keep-fit: the fit of the {kind} files that are there is no longer in {FITS_FOLDER}; leave --keep-fit out, so \
                 that all photos are fitted again"
            ))),
        }
    }

    /// Keeps a fit for later photos, in place of former ones of its kind.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn save_fit(&self, making: &Making, bytes: &[u8]) -> Result<()> {
        let fit = making.fit.as_ref();
        let path = fit.and_then(|fit| self.fit_path(&making.kind, fit));
        let Some((path, folder)) = path.as_ref().and_then(|path| Some((path, path.parent()?)))
        else {
            return Ok(());
        };
        create_folder(folder)?;
        write_atomic(path, |writer| writer.write_all(bytes))?;
        let former = fs::read_dir(folder).into_iter().flatten().flatten();
        for former in former
            .map(|entry| entry.path())
            .filter(|former| former != path)
        {
            let name = former
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let rest = name
                .as_deref()
                .and_then(|name| name.strip_prefix(&making.kind)?.strip_prefix('-'));
            if rest.is_some_and(|rest| {
                rest.len() == FIT_NAME && rest.bytes().all(|c| c.is_ascii_hexdigit())
            }) {
                // It is of no use, and does no harm.
                let _ = fs::remove_file(&former);
            }
        }
        Ok(())
    }

    fn fit_path(&self, kind: &str, fit: &Digest) -> Option<PathBuf> {
        let folder = self.manifest.as_ref()?.folder().join(FITS_FOLDER);
        let digest = fit.to_string();
        Some(folder.join(format!("{kind}-{}", digest.get(..FIT_NAME)?)))
    }

    /// Refuses a second fit in a folder whose pictures are compared with each other. `fits` are those that photos of the
    /// run have now.
    ///
    /// # Errors
    /// [`Error::Usage`] that names what is there.
    pub fn check_one_fit(
        &self,
        plan: &Plan,
        making: &Making,
        fits: &[Option<Digest>],
        (force, console): (bool, &Console),
    ) -> Result<()> {
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        let ours = plan.jobs.iter().flat_map(|job| job.outputs());
        let ours: Vec<&Path> = ours.filter_map(|(_, output)| output.path()).collect();
        let Some((first, count)) = manifest.others_by_fit(&making.kind, &ours)? else {
            return Ok(());
        };
        let more = match count {
            1 => "was".to_owned(),
            more => format!("and {} more were", more - 1),
        };
        let what = format!(
            "{} {more} made with one fit to other photos than these, so that the colours of these mean something else",
            first.display()
        );
        let is_apart = plan.jobs.len() == 1 && fits.iter().all(Option::is_none);
        if is_apart || force {
            console.note(what);
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{what}; give all photos at once, choose another folder (-o DIR), or mix them with --force"
        )))
    }

    /// Says how many photos are drawn again because they had another fit.
    pub fn tell_refit(count: usize, console: &Console) {
        if count > 0 {
            console.note(format_args!(
                "{count} that had been made with a fit to other photos {} made again, with one to all (--keep-fit keeps the                  former)",
                if count == 1 { "is" } else { "are" }
            ));
        }
    }
}
