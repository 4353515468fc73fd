//! `--tar`: the results of the photos of a tar, in a tar with the same keys.
//!
//! The files of a photo are written one by one, as without `--tar`, so that an interrupted run is resumed. Once all
//! photos of a tar are finished their files are packed, and removed if no photo failed.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::WalkDir;

use super::plan::PlannedTask;
use super::progress::RunProgress;
use super::task_run::TaskRun;
use crate::error::{Error, Result};
use crate::io::inputs::{Source, TarArchive};
use crate::io::manifest::{
    Ledger, OutputFreshness, PackInputs, TaskDigests, pack_ending, remove_with_empty_parents,
};
use crate::io::output::{LineStatus, OutputTarget};
use crate::system::files::write_atomic;
use crate::tasks::Task;

/// A tar of outputs that the run makes.
pub(super) struct OutputTar {
    /// The tar of the photos.
    archive: Arc<TarArchive>,
    /// The path of the tar of outputs.
    path: PathBuf,
    /// The folder of its files until they are packed.
    folder: PathBuf,
    /// The numbers, in the run, of its photos.
    photos: Vec<usize>,
}

impl TaskRun<'_> {
    /// Plans the tars of outputs of `sources`: the photos that are still to be done, their tars, and the number of
    /// photos whose tars are up to date.
    ///
    /// # Errors
    /// [`Error::Usage`] for tasks, inputs or destinations that cannot be packed, and for a foreign file in place of a
    /// tar.
    pub(super) fn plan_packs(
        &self,
        tasks: &[Box<dyn Task>],
        sources: Vec<Source>,
        ledger: &Ledger,
    ) -> Result<(Vec<Source>, Vec<OutputTar>, usize)> {
        let OutputTarget::Folder(folder) = &self.options.target else {
            return Err(tar_error(
                "one output has no place in a tar; name a folder (-o DIR)",
            ));
        };
        for task in tasks {
            let kind = task.kind();
            if task.is_two_pass() {
                return Err(tar_error(&format!(
                    "{kind} is fitted to all photos; give it a fit (--basis, --codebook, --range MIN,MAX), or leave --tar out"
                )));
            }
            if task.redirected_output().is_some() || task.document().is_some() {
                return Err(tar_error(&format!(
                    "{kind} makes a file of its own, which is in no tar; leave its name out"
                )));
            }
        }
        let fingerprint = self.model.fingerprint.as_deref().unwrap_or_default();
        let all_digests = tasks
            .iter()
            .map(|task| self.task_digests(task.as_ref(), fingerprint));
        let all_digests: Vec<TaskDigests> = all_digests.collect::<Result<_>>()?;
        let all_digests: Vec<&TaskDigests> = all_digests.iter().collect();
        let mut groups: Vec<(Arc<TarArchive>, Vec<Source>)> = Vec::new();
        for source in sources {
            let Source::TarMember { member, .. } = &source else {
                let name = source.name();
                return Err(tar_error(&format!(
                    "{name} is in no tar; give tars alone, or leave --tar out"
                )));
            };
            match groups.last_mut() {
                Some((archive, of_it)) if Arc::ptr_eq(archive, &member.archive) => {
                    of_it.push(source)
                }
                _ => groups.push((member.archive.clone(), vec![source])),
            }
        }
        // Each set of tasks has tars of its own.
        let ending = pack_ending(
            all_digests
                .iter()
                .map(|task_digests| task_digests.task.as_str()),
        );
        let real = |path: &Path| fs::canonicalize(path).ok();
        let inputs: HashSet<PathBuf> = groups
            .iter()
            .filter_map(|(archive, _)| real(&archive.path))
            .collect();
        let mut places = HashSet::new();
        let (mut left, mut packs, mut skipped) = (Vec::new(), Vec::new(), 0);
        for (archive, of_it) in groups {
            let below = folder.join(&archive.relative);
            let mut path = below.clone().into_os_string();
            path.push(&ending);
            let path = PathBuf::from(path);
            let name = path.display();
            if !places.insert(path.clone()) {
                return Err(tar_error(&format!(
                    "two of the tars would be packed into {name}; give them in runs of their own, with -o"
                )));
            }
            if real(&path).is_some_and(|path| inputs.contains(&path)) {
                return Err(tar_error(&format!(
                    "{name} is an input and would be replaced; choose another folder (-o DIR)"
                )));
            }
            let photos: Vec<(&Source, _)> = of_it.iter().map(|source| (source, None)).collect();
            let packed = PackInputs {
                archive: &archive,
                photos: &photos,
                tasks: &all_digests,
                max_photo_bytes: self.context.decoder.options.max_memory,
            };
            match ledger.pack_freshness(&path, packed)? {
                _ if self.options.force => {}
                OutputFreshness::Fresh => {
                    skipped += of_it.len();
                    remove_leftovers(&path, &below)?;
                    self.print_packed(tasks, &of_it)?;
                    continue;
                }
                OutputFreshness::Foreign => {
                    return Err(tar_error(&format!(
                        "{name} is there already, and either dino did not make it or it was changed since; --force replaces it, -o DIR \
                         puts results elsewhere"
                    )));
                }
                OutputFreshness::Stale(_) => self.console.note(format_args!(
                    "{name} was made of other photos, in another way or not of all photos of its tar; it is made again"
                )),
                OutputFreshness::Absent => {}
            }
            let first = left.len();
            left.extend(of_it);
            packs.push(OutputTar {
                archive,
                path,
                folder: below,
                photos: (first..left.len()).collect(),
            });
        }
        Ok((left, packs, skipped))
    }

    /// Prints JSON lines that photos in up-to-date tars are skipped.
    fn print_packed(&self, tasks: &[Box<dyn Task>], sources: &[Source]) -> Result<()> {
        if !self.context.json {
            return Ok(());
        }
        for source in sources {
            for task in tasks {
                let line = task.subject().line(LineStatus::Skipped, source);
                self.console
                    .out(&serde_json::Value::Object(line).to_string())?;
            }
        }
        Ok(())
    }

    /// Packs the tars, and prints their paths. A tar that cannot be written is a fault of the run, and the others
    /// follow.
    ///
    /// # Errors
    /// [`Error::Interrupted`], or [`Error::Usage`].
    pub(super) fn write_tars(
        &self,
        packs: &[OutputTar],
        planned: &[PlannedTask],
        ledger: &Ledger,
        progress: &mut RunProgress,
    ) -> Result<()> {
        for pack in packs {
            match self.write_output_tar(pack, planned, ledger, progress) {
                Ok(false) => {}
                Ok(true) if self.context.json => {}
                Ok(true) => self.console.out_named(&pack.path, "")?,
                Err(fatal @ (Error::Interrupted | Error::Usage(_))) => return Err(fatal),
                Err(error) => progress.report.faults.push(error),
            }
        }
        Ok(())
    }

    /// Packs one tar; false if there are no files for it.
    ///
    /// # Errors
    /// Names the file that cannot be read or written.
    fn write_output_tar(
        &self,
        pack: &OutputTar,
        planned: &[PlannedTask],
        ledger: &Ledger,
        progress: &RunProgress,
    ) -> Result<bool> {
        let whole = |photo: &&usize| !progress.failed[**photo];
        let photos: Vec<usize> = pack.photos.iter().filter(whole).copied().collect();
        let mut files = Vec::new();
        for &photo in &photos {
            for PlannedTask { plan, .. } in planned {
                let outputs = plan.jobs[photo].outputs();
                files.extend(
                    outputs
                        .filter_map(|(_, output)| output.path())
                        .filter(|path| path.exists()),
                );
            }
        }
        if files.is_empty() {
            return Ok(false);
        }
        let of_first = planned.first().map(|planned| planned.plan.jobs.as_slice());
        let jobs = of_first.unwrap_or_default();
        let digests: Vec<_> = photos
            .iter()
            .map(|&photo| (&jobs[photo].source, progress.digests[photo]))
            .collect();
        let all_digests: Vec<&TaskDigests> = planned
            .iter()
            .map(|planned| &planned.task_digests)
            .collect();
        let packed = PackInputs {
            archive: &pack.archive,
            photos: &digests,
            tasks: &all_digests,
            max_photo_bytes: self.context.decoder.options.max_memory,
        };
        ledger.note_pack(&pack.path, packed, || {
            write_tar(&pack.path, &pack.folder, &files)
        })?;
        // The files of an incomplete tar are kept, for the next run.
        if photos.len() == pack.photos.len() {
            files
                .iter()
                .try_for_each(|file| remove_with_empty_parents(file, &pack.folder))?;
        }
        Ok(true)
    }
}

/// Writes a tar of `files`, which lie below `folder`, to `path`; folders among them with all their files. The same
/// files give the same bytes.
fn write_tar(path: &Path, folder: &Path, files: &[&Path]) -> Result<()> {
    let mut all = Vec::new();
    for file in files {
        let walk = WalkDir::new(file).sort_by_file_name();
        for entry in walk {
            let entry = entry.map_err(|error| Error::file(file, error.to_string()))?;
            if entry.file_type().is_file() {
                all.push(entry.into_path());
            }
        }
    }
    write_atomic(path, |writer| {
        let mut tar = ::tar::Builder::new(writer);
        for file in &all {
            let mut from = File::open(file)?;
            let mut header = ::tar::Header::new_gnu();
            header.set_size(from.metadata()?.len());
            header.set_mode(0o644);
            header.set_mtime(0);
            let name = file.strip_prefix(folder).unwrap_or(file);
            tar.append_data(&mut header, name, &mut from)?;
        }
        tar.finish()
    })
}

/// Removes the files below `folder` that are packed in the tar at `path` with the same bytes; an interrupted run left
/// them.
fn remove_leftovers(path: &Path, folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let failed = |error: std::io::Error| Error::io(path, &error);
    let mut tar = ::tar::Archive::new(File::open(path).map_err(failed)?);
    for entry in tar.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = entry.path().map_err(failed)?.into_owned();
        let file = folder.join(name);
        if !fs::metadata(&file).is_ok_and(|found| found.is_file() && found.len() == entry.size()) {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(failed)?;
        if fs::read(&file).is_ok_and(|own| own == bytes) {
            remove_with_empty_parents(&file, folder)?;
        }
    }
    Ok(())
}

fn tar_error(why: &str) -> Error {
    Error::Usage(format!("--tar: {why}"))
}
