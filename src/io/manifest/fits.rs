//! Fits: parameters fitted to several photos at once (a PCA basis, k-means centres, a depth range). A folder has one
//! fit per task, so that its pictures are comparable; this module finds the fits of existing outputs and refuses a
//! second one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::io::inputs::PresenceCache;
use crate::io::manifest::entry::ManifestLine;
use crate::io::manifest::files::{manifest_files, read_file};
use crate::io::manifest::history::{OutputAttribution, OutputOrigin};
use crate::io::manifest::index::ManifestIndex;
use crate::io::manifest::output_names::{output_name, path_from_bytes};
use crate::io::manifest::photo_name::photo_name;
use crate::io::manifest::{Ledger, Manifest, PhotoName, TaskDigests};
use crate::io::output::{OutputPlan, PICTURE_EXTENSION};
use crate::system::files::Digest;
use crate::terminal::console::Console;

impl Manifest {
    /// The existing outputs of `task` whose fit to several photos is not `fit`: those of photos that are not in `ours`,
    /// and those of photos in `ours` under former names. Photos that no longer exist are ignored.
    ///
    /// # Errors
    /// As [`Manifest::freshness`]; and if a manifest file cannot be read again.
    fn outputs_of_other_fits(
        &self,
        task: &str,
        ours: &RunOutputStems,
        fit: Option<&Digest>,
    ) -> Result<OtherFitOutputs> {
        let mut others = OtherFitOutputs::default();
        if !self.index().has_fits(task) {
            return Ok(others);
        }
        let mut presence = PresenceCache::default();
        for (own, outputs) in self.outputs_by_fit(|line| line.task == task)? {
            let photos: HashSet<&PhotoName> = outputs.iter().map(|(_, photo)| photo).collect();
            // A fit to a single photo does not make outputs comparable.
            if photos.len() < 2 || fit == Some(&own) {
                continue;
            }
            for (path, photo) in outputs {
                match ours.get(&photo) {
                    Some(stem) if path.as_os_str().as_encoded_bytes().starts_with(stem) => {}
                    Some(_) => others.renamed.push(path),
                    None if presence.exists(&path_from_bytes(&photo.0), photo.1) => {
                        others.foreign.push(path);
                    }
                    None => {}
                }
            }
        }
        Ok(others)
    }

    /// The fit that most photos' outputs have, among the existing outputs that `task` made with `recipe`, which gives
    /// the recipe for a page; of equal counts, the one with the largest digest.
    ///
    /// # Errors
    /// As [`Manifest::outputs_of_other_fits`].
    fn find_reusable_fit(
        &self,
        task: &str,
        recipe: impl Fn(u32) -> Digest,
    ) -> Result<Option<Digest>> {
        let is_ours =
            |line: &ManifestLine| line.task == task && line.recipe == recipe(line.photo_name().1);
        let fits = self.outputs_by_fit(is_ours)?;
        let count = |outputs: &[(PathBuf, PhotoName)]| {
            let photos: HashSet<&PhotoName> = outputs.iter().map(|(_, photo)| photo).collect();
            photos.len()
        };
        let with_outputs = fits.into_iter().filter(|(_, outputs)| !outputs.is_empty());
        Ok(with_outputs
            .max_by_key(|(_, outputs)| count(outputs))
            .map(|(fit, _)| fit))
    }

    /// The existing outputs with their photos, grouped by fit, of the lines for which `is_wanted` is true. The files
    /// are read again, to include lines of other runs.
    fn outputs_by_fit(
        &self,
        is_wanted: impl Fn(&ManifestLine) -> bool,
    ) -> Result<BTreeMap<Digest, Vec<(PathBuf, PhotoName)>>> {
        let mut index = ManifestIndex::default();
        let mut all: BTreeMap<PathBuf, PhotoName> = BTreeMap::new();
        let mut take = |line: &ManifestLine| {
            index.insert(line);
            if line.fit.is_some() && is_wanted(line) {
                let photo = line.photo_name();
                all.extend(
                    line.outputs()
                        .map(|(name, _)| (path_from_bytes(&name), photo.clone())),
                );
            }
            Ok(())
        };
        for path in manifest_files(&self.folder)? {
            read_file(&path, |line, _| take(line))?;
        }
        let mut by_fit: BTreeMap<Digest, Vec<(PathBuf, PhotoName)>> = BTreeMap::new();
        for (name, photo) in all {
            let path = self.folder.join(&name);
            if !path.exists() {
                continue;
            }
            let history = index.history(&output_name(&name));
            let origin = history
                .map(|history| history.attribute(&path))
                .transpose()?
                .and_then(OutputAttribution::origin);
            if let Some(fit) = origin.and_then(OutputOrigin::fit) {
                by_fit.entry(*fit).or_default().push((path, photo));
            }
        }
        Ok(by_fit)
    }
}

/// For each photo of a run, the common prefix of its outputs' paths, as bytes.
type RunOutputStems = HashMap<PhotoName, Vec<u8>>;

/// Outputs whose fit is not that of the run.
#[derive(Debug, Default)]
struct OtherFitOutputs {
    /// Outputs of photos that are not in the run.
    foreign: Vec<PathBuf>,
    /// Outputs of photos in the run, under former names.
    renamed: Vec<PathBuf>,
}

impl Ledger {
    /// Digest of a fit to these photos in this order: (digest of the photo, page number or 0).
    pub fn fit_digest(photos: impl Iterator<Item = (Digest, u32)>) -> Digest {
        let mut all = Vec::new();
        for (photo, page) in photos {
            all.extend(photo.as_bytes());
            all.extend(page.to_le_bytes());
        }
        Digest::of_bytes(&all)
    }

    /// For `--keep-fit`: the fit of the existing outputs of the plan that were made with these settings, or else a
    /// saved fit of other outputs in the folder; `None` if there is neither.
    ///
    /// # Errors
    /// [`Error::Usage`] if outputs of the plan have several fits; names an output or manifest that cannot be read.
    pub fn former_fit(&self, plan: &OutputPlan, digests: &TaskDigests) -> Result<Option<Digest>> {
        let Some(manifest) = &self.manifest else {
            return Ok(None);
        };
        let mut former = None;
        for job in &plan.jobs {
            for (extension, path) in job.existing_files() {
                let recipe = digests.recipe(extension, &job.source);
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
        if former.is_some() {
            return Ok(former);
        }
        // All photos are new: use the fit of other outputs if its file still exists.
        let latest = manifest.find_reusable_fit(&digests.task, |page| {
            digests.recipe_of_page(PICTURE_EXTENSION, page)
        })?;
        Ok(latest.filter(|fit| {
            self.fit_path(digests, fit)
                .is_some_and(|path| path.is_file())
        }))
    }

    /// Checks that the folder has no outputs with another fit. `fits` are those of the existing outputs of the run's
    /// photos. Returns whether another fit exists and is accepted: with `force`, or for a single new photo.
    ///
    /// # Errors
    /// [`Error::Usage`] that names an output with another fit; as [`Ledger::describe_other_fit`].
    pub fn check_one_fit(
        &self,
        plan: &OutputPlan,
        digests: &TaskDigests,
        fits: &[Option<Digest>],
        (force, console): (bool, &Console),
    ) -> Result<bool> {
        let Some(what) = self.describe_other_fit(plan, digests, console)? else {
            return Ok(false);
        };
        let is_apart = plan.jobs.len() == 1 && fits.iter().all(Option::is_none);
        if is_apart || force {
            console.note(what);
            return Ok(true);
        }
        Err(Error::Usage(format!(
            "{what}; give all photos at once, choose another folder (-o DIR), or mix them with --force"
        )))
    }

    /// A sentence about outputs in the folder that were made with a fit to other photos; `None` if there are none.
    ///
    /// # Errors
    /// Names the manifest file or output that cannot be read.
    pub fn describe_other_fit(
        &self,
        plan: &OutputPlan,
        digests: &TaskDigests,
        console: &Console,
    ) -> Result<Option<String>> {
        let Some(manifest) = &self.manifest else {
            return Ok(None);
        };
        let ours = plan.jobs.iter().map(|job| {
            let picture = job
                .output(PICTURE_EXTENSION)
                .path()
                .map(|path| path.with_extension(""));
            let stem = picture
                .unwrap_or_default()
                .into_os_string()
                .into_encoded_bytes();
            (photo_name(&job.source), stem)
        });
        let ours: RunOutputStems = ours.collect();
        let others = manifest.outputs_of_other_fits(&digests.task, &ours, digests.fit.as_ref())?;
        if let Some(first) = others.renamed.first() {
            console.note_once(
                "renamed outputs",
                format_args!(
                    "{} is of a photo that has another name in this run, and keeps its former fit; remove it",
                    first.display()
                ),
            );
        }
        Ok(others.foreign.first().map(|first| {
            let more = match others.foreign.len() {
                1 => "was".to_owned(),
                more => format!("and {} more were", more - 1),
            };
            format!(
                "{} {more} made with one fit to other photos than these, so that the colours of these mean something else",
                first.display()
            )
        }))
    }

    /// Prints how many photos are processed again because their outputs had another fit.
    pub fn report_refit(count: usize, console: &Console) {
        if count > 0 {
            console.note(format_args!(
                "{count} that had been made with a fit to other photos, or to these in another order, {} made again, with one to all (--keep-fit keeps \
                 the former)",
                if count == 1 { "is" } else { "are" }
            ));
        }
    }
}
