//! What a run is about to make, against what was noted of what is there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::inputs::Source;
use crate::io::manifest::told::Told;
use crate::io::manifest::{Broken, Entry, Making, Manifest, Standing, Wanted};
use crate::io::output::{Job, OutputOptions, Outputs, Plan, Target};
use crate::system::files::{Digest, Stamp};
use crate::terminal::console::Console;

/// What stands in the way of each photo, if anything does: a file that is nobody's work but the user's.
pub type Refused = Vec<Option<Error>>;

/// What is known of the outputs of a task whose photos wait for each other.
#[derive(Debug, Default)]
pub struct Former {
    /// The fit that each photo was drawn with, where all its files are there and nothing else has changed.
    pub fits: Vec<Option<Digest>>,
    /// By photo and extension, what is there and is made again if the fit is another one.
    pub replaceable: Vec<(usize, &'static str)>,
    /// Whether all photos are drawn, but those that cannot be read, with a fit to just these photos.
    pub is_current: bool,
}

/// The outputs of a job that are there.
struct There {
    outputs: Vec<Looked>,
    /// Of the photo, where anything is there and it can be read.
    photo: Option<Stamp>,
    /// What stands in its way.
    refusal: Option<Error>,
}

/// An output that is there.
struct Looked {
    extension: &'static str,
    path: PathBuf,
    standing: Standing,
    /// Whether it is noted as done as it is.
    is_noted: bool,
}

/// What is known of the folder of outputs; nothing where there is none. All clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub(super) manifest: Option<Arc<Manifest>>,
    /// What is named on the command line in place of a folder.
    target: Option<PathBuf>,
    /// Whether photos that failed before are tried again.
    pub(super) tries_all: bool,
}

impl Ledger {
    /// Of the folder that a run writes into.
    ///
    /// # Errors
    /// As [`Manifest::open`].
    pub fn open(options: &OutputOptions) -> Result<Self> {
        let mut ledger = Ledger {
            tries_all: options.force || options.retry_failed,
            ..Ledger::default()
        };
        match &options.target {
            Target::Folder(_) if options.no_manifest => {}
            Target::Folder(folder) => {
                let manifest = Manifest::open_shard(folder, options.shard)?;
                ledger.manifest = Some(Arc::new(manifest));
            }
            Target::File(path, _) => ledger.target = Some(path.clone()),
            Target::Stdout => {}
        }
        Ok(ledger)
    }

    /// Itself, if it is of this folder.
    pub fn of(self, folder: &Path) -> Option<Self> {
        let manifest = self.manifest.as_ref()?;
        (manifest.folder() == folder).then_some(self)
    }

    /// Whether nothing is noted though the results go to a folder.
    pub fn is_without_record(&self) -> bool {
        self.manifest.is_none() && self.target.is_none()
    }

    /// The absolute path of a photo, by which it is known wherever it is named from.
    pub fn input_of(source: &Source) -> PathBuf {
        input_of(source)
    }

    /// Whether the output at `path` is not what it was when it was noted as done; one of which nothing is noted is not.
    ///
    /// # Errors
    /// Names the output that cannot be read.
    pub fn is_changed(&self, path: &Path) -> Result<bool> {
        let manifest = self.manifest.as_ref();
        manifest.map_or(Ok(false), |manifest| manifest.is_changed(path))
    }

    /// Notes that outputs are done that a killed run made and did not come to note.
    fn confirm(&self, job: &Job, making: &Making, there: &There) -> Result<()> {
        let (Some(manifest), Some(photo)) = (&self.manifest, &there.photo) else {
            return Ok(());
        };
        let is_unnoted = |output: &&Looked| output.standing == Standing::Same && !output.is_noted;
        for output in there.outputs.iter().filter(is_unnoted) {
            let entry = Entry {
                task: making.kind.clone(),
                input: input_of(&job.source),
                page: job.source.page().map(|page| page.number),
                photo: photo.clone(),
                recipe: making.recipe(output.extension, &job.source),
                fit: making.fit,
                outputs: vec![output.path.clone()],
                facts: making.facts.clone(),
            };
            manifest.finish(&entry, |_| None)?;
        }
        Ok(())
    }

    /// Writes down what failed, of a run over `photos`, though nothing was made: the folder of a run over one is not made for
    /// that alone.
    ///
    /// # Errors
    /// As [`Manifest::settle`].
    pub fn settle_failures(&self, photos: usize) -> Result<()> {
        match &self.manifest {
            Some(manifest) if photos > 1 => manifest.settle(),
            _ => Ok(()),
        }
    }

    /// Keeps the record itself from being replaced by any output.
    pub fn protect(&self, outputs: &mut Outputs) {
        if let Some(manifest) = &self.manifest {
            outputs.protect([manifest.path().as_path()]);
        }
    }

    /// Takes the stamp of a photo; `most` bytes of what is no regular file are read.
    ///
    /// # Errors
    /// Names the photo that cannot be read.
    pub fn stamp_of(&self, source: &Source, most: u64) -> Result<Stamp> {
        let is_regular = source.metadata().is_some_and(|met| met.is_file());
        match (source, &self.manifest) {
            (Source::Member { member, .. }, Some(manifest)) => match manifest.photo(&member.path) {
                Some(known) if member.has_untouched_tar(&known) => Ok(known),
                _ => Ok(member.stamp(&source.read(most)?)),
            },
            (Source::Member { member, .. }, None) => Ok(member.stamp(&source.read(most)?)),
            (Source::File { path, .. }, Some(manifest)) if is_regular => manifest.stamp_of(path),
            (Source::File { path, .. }, None) if is_regular => Stamp::of_file(path),
            _ => Ok(Stamp::of_bytes(&source.read(most)?)),
        }
    }

    /// Decides of everything that is there already: what was made from these photos in this way is kept, what was made
    /// otherwise is made again, and that is said. What is not known to be this program's work is left alone, and its
    /// photo refused. Of photos that are `broken` nothing is decided.
    ///
    /// # Errors
    /// [`Error::Usage`] if what is named on the command line is there; names what cannot be replaced or read.
    pub fn settle(
        &self,
        plan: &mut Plan,
        making: &Making,
        (broken, most): (&Broken, u64),
        console: &Console,
    ) -> Result<Refused> {
        let mut told = Told::default();
        let mut refused = Vec::with_capacity(plan.jobs.len());
        for index in 0..plan.jobs.len() {
            if is_broken(broken, index) {
                refused.push(None);
                continue;
            }
            let there = self.look(&plan.jobs[index], making, most)?;
            self.confirm(&plan.jobs[index], making, &there)?;
            for output in there.outputs {
                if let Standing::Other(difference) = output.standing {
                    told.add(&plan.jobs[index].source, &output.path, difference);
                }
                if !matches!(output.standing, Standing::Same | Standing::Foreign) {
                    plan.replace(index, output.extension)?;
                }
            }
            refused.push(there.refusal);
        }
        told.tell(console);
        Ok(refused)
    }

    /// As [`Ledger::settle`], for a task that draws all photos with one fit to them, which is not known before they all
    /// have been seen.
    ///
    /// # Errors
    /// As [`Ledger::settle`].
    pub fn settle_waiting(
        &self,
        plan: &mut Plan,
        making: &Making,
        (broken, most): (&Broken, u64),
        console: &Console,
    ) -> Result<(Refused, Former)> {
        let mut told = Told::default();
        let mut former = Former::default();
        let mut all_refused = Vec::with_capacity(plan.jobs.len());
        let mut changed = Vec::new();
        for (index, job) in plan.jobs.iter().enumerate() {
            if is_broken(broken, index) {
                all_refused.push(None);
                former.fits.push(None);
                continue;
            }
            let There {
                outputs, refusal, ..
            } = self.look(job, making, most)?;
            let mut is_same = outputs.len() == job.outputs().count() && refusal.is_none();
            let mut fit = None;
            for Looked {
                extension,
                path,
                standing,
                ..
            } in outputs
            {
                match standing {
                    Standing::Other(difference) if difference.photo || difference.recipe => {
                        told.add(&job.source, &path, difference);
                        changed.push((index, extension));
                        is_same = false;
                        continue;
                    }
                    Standing::Foreign => continue,
                    _ => {}
                }
                let own = self.fit_of(&path, &making.recipe(extension, &job.source))?;
                is_same &= own.is_some() && fit.is_none_or(|fit| Some(fit) == own);
                fit = fit.or(own);
                former.replaceable.push((index, extension));
            }
            all_refused.push(refusal);
            former.fits.push(fit.filter(|_| is_same));
        }
        told.tell(console);
        for (index, extension) in changed {
            plan.replace(index, extension)?;
        }
        // Those that cannot be read took no part in the fit.
        let jobs = plan.jobs.iter().zip(&former.fits).enumerate();
        let jobs: Vec<_> = jobs
            .filter(|(index, _)| !is_broken(broken, *index))
            .map(|(_, of)| of)
            .collect();
        if jobs.iter().all(|(_, own)| own.is_some()) {
            let photos = jobs.iter().map(|(job, _)| {
                let page = job.source.page_number();
                Ok((self.stamp_of(&job.source, most)?.digest, page))
            });
            let fit = Self::fit_to(photos.collect::<Result<Vec<_>>>()?.into_iter());
            former.is_current = jobs.iter().all(|(_, own)| **own == Some(fit));
        }
        Ok((all_refused, former))
    }

    /// How the outputs of a job stand that are there, and what stands in its way.
    fn look(&self, job: &Job, making: &Making, most: u64) -> Result<There> {
        let mut outputs = Vec::new();
        let mut refusal = None;
        let kept: Vec<(&'static str, &Path)> = job.kept().collect();
        let photo = match kept.is_empty() || self.knows_nothing() {
            true => None,
            // That of a photo that cannot be read is told when it is decoded.
            false => self.stamp_of(&job.source, most).ok(),
        };
        for (extension, path) in kept {
            let (standing, is_noted) =
                self.look_at(path, extension, &job.source, photo.as_ref(), making)?;
            if standing == Standing::Foreign {
                refusal.get_or_insert_with(|| foreign(path));
            }
            outputs.push(Looked {
                extension,
                path: path.to_owned(),
                standing,
                is_noted,
            });
        }
        Ok(There {
            outputs,
            photo,
            refusal,
        })
    }

    fn fit_of(&self, path: &Path, recipe: &Digest) -> Result<Option<Digest>> {
        let manifest = self.manifest.as_ref();
        manifest.map_or(Ok(None), |manifest| manifest.fit_of(path, recipe))
    }

    fn knows_nothing(&self) -> bool {
        self.manifest
            .as_ref()
            .is_none_or(|manifest| manifest.is_empty())
    }

    /// How an output that is there stands, and whether it is noted as done as it is.
    pub(super) fn look_at(
        &self,
        path: &Path,
        extension: &str,
        source: &Source,
        photo: Option<&Stamp>,
        making: &Making,
    ) -> Result<(Standing, bool)> {
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
        let nothing = Stamp::of_bytes(b"");
        manifest.look(
            path,
            &Wanted {
                photo: photo.unwrap_or(&nothing),
                recipe: &making.recipe(extension, source),
                fit: making.fit.as_ref(),
            },
        )
    }
}

fn is_broken(broken: &Broken, index: usize) -> bool {
    broken.get(index).is_some_and(Option::is_some)
}

/// The absolute path of a photo, by which it is known wherever it is named from.
pub(super) fn input_of(source: &Source) -> PathBuf {
    source.absolute()
}

/// Why a file is neither kept nor replaced.
fn foreign(path: &Path) -> Error {
    Error::file(
        path,
        "is there already, and either dino did not make it or it was changed since; --force replaces it, -o DIR puts results \
         elsewhere",
    )
}
