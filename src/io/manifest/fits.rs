//! What is fitted to several photos at once, of which a folder has one.

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
    /// What `task` made of photos with one fit to several, which is not `fit`, and that is there still: of other photos than
    /// `ours`, and of these under other names than they have now. Photos that are gone since do not count.
    ///
    /// # Errors
    /// As [`Manifest::standing`]; and if the file cannot be read again.
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
            // One photo is compared with none.
            if photos.len() < 2 || fit == Some(&own) {
                continue;
            }
            for (path, photo) in outputs {
                match ours.get(&photo) {
                    Some(stem) if path.as_os_str().as_encoded_bytes().starts_with(stem) => {}
                    Some(_) => others.renamed.push(path),
                    None if presence.has(&path_from_bytes(&photo.0), photo.1) => {
                        others.foreign.push(path);
                    }
                    None => {}
                }
            }
        }
        Ok(others)
    }

    /// The fit that `task` made by one of the recipes that `recipe` knows, for each page: one to several photos, or else
    /// the latest, whose outputs are there still.
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
        let most = fits.into_iter().filter(|(_, outputs)| !outputs.is_empty());
        Ok(most
            .max_by_key(|(_, outputs)| count(outputs))
            .map(|(fit, _)| fit))
    }

    /// The outputs that are there, by the fits that they have, as far as `is_wanted` has lines about them; with what other
    /// runs wrote meanwhile.
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

/// The photos of a run, and how the paths of their outputs begin.
type RunOutputStems = HashMap<PhotoName, Vec<u8>>;

/// Outputs by another fit.
#[derive(Debug, Default)]
struct OtherFitOutputs {
    /// Of other photos.
    foreign: Vec<PathBuf>,
    /// Of the same photos, under former names.
    renamed: Vec<PathBuf>,
}

impl Ledger {
    /// Digest of what is fitted to photos, in their order: with the number of its page, the digest of each.
    pub fn fit_digest(photos: impl Iterator<Item = (Digest, u32)>) -> Digest {
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
    pub fn former_fit(&self, plan: &OutputPlan, making: &TaskDigests) -> Result<Option<Digest>> {
        let Some(manifest) = &self.manifest else {
            return Ok(None);
        };
        let mut former = None;
        for job in &plan.jobs {
            for (extension, path) in job.existing_files() {
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
        if former.is_some() {
            return Ok(former);
        }
        // The photos are all new; that of others in the folder, if it is still at hand.
        let latest = manifest.find_reusable_fit(&making.task, |page| {
            making.recipe_of_page(PICTURE_EXTENSION, page)
        })?;
        Ok(latest.filter(|fit| {
            self.fit_path(making, fit)
                .is_some_and(|path| path.is_file())
        }))
    }

    /// Refuses a second fit in a folder whose pictures are compared with each other. `fits` are those that photos of the
    /// run have now. True if there is one that is not refused.
    ///
    /// # Errors
    /// [`Error::Usage`] that names what is there.
    pub fn check_one_fit(
        &self,
        plan: &OutputPlan,
        making: &TaskDigests,
        fits: &[Option<Digest>],
        (force, console): (bool, &Console),
    ) -> Result<bool> {
        let Some(what) = self.describe_other_fit(plan, making, console)? else {
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

    /// What there is in the folder by another fit than that of the run, to other photos.
    ///
    /// # Errors
    /// If the record cannot be read again.
    pub fn describe_other_fit(
        &self,
        plan: &OutputPlan,
        making: &TaskDigests,
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
        let others = manifest.outputs_of_other_fits(&making.task, &ours, making.fit.as_ref())?;
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

    /// Says how many photos are drawn again because they had another fit.
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
