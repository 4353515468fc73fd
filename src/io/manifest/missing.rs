//! Finds the photos whose outputs are missing in an output folder.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use rayon::prelude::*;

use crate::error::Result;
use crate::io::inputs::Source;
use crate::io::manifest::entry::{EntryState, ManifestLine};
use crate::io::manifest::files::{manifest_files, read_file};
use crate::io::manifest::index::PathKey;
use crate::io::manifest::output_names::path_from_bytes;
use crate::io::manifest::packs::packed_prefixes;
use crate::io::manifest::photo_name::photo_name;
use crate::system::files::FileStamp;

/// Which photos count as missing.
#[derive(Debug, Clone, Default)]
pub struct MissingRule {
    /// Tasks whose outputs must exist; empty for all tasks in the manifest.
    pub tasks: Vec<String>,
    /// Whether photos whose own bytes are at fault do not count as missing.
    pub excludes_broken: bool,
}

/// What one task has done with one photo.
#[derive(Default)]
struct PhotoWork {
    /// Stamp of the photo in the latest `done` line.
    done: Option<FileStamp>,
    done_at: u64,
    /// Names, below the folder, of all outputs made from this content of the photo.
    outputs: BTreeSet<Box<[u8]>>,
    /// Stamp of the photo and time of the latest lasting failure.
    lasting_failure: Option<(FileStamp, u64)>,
}

impl PhotoWork {
    fn add(&mut self, line: &ManifestLine) {
        let Some(photo) = &line.photo else { return };
        match line.state {
            EntryState::Done if line.time >= self.done_at => {
                // Outputs of earlier content of the photo do not count.
                let same = |known: &FileStamp| known.digest == photo.digest;
                if !self.done.as_ref().is_some_and(same) {
                    self.outputs.clear();
                }
                self.outputs
                    .extend(line.outputs().map(|(name, _)| (*name).into()));
                (self.done, self.done_at) = (Some(photo.clone()), line.time);
            }
            EntryState::Failed if line.error.as_ref().is_some_and(|e| e.kind.is_lasting()) => {
                if self
                    .lasting_failure
                    .as_ref()
                    .is_none_or(|(_, time)| *time <= line.time)
                {
                    self.lasting_failure = Some((photo.clone(), line.time));
                }
            }
            EntryState::Done | EntryState::Begun | EntryState::Failed => {}
        }
    }

    /// Whether nothing is left to do: the photo is unchanged and all its outputs exist, or `rule` excludes broken
    /// photos and it failed lastingly.
    fn is_settled(
        &self,
        (folder, packed): (&Path, &[Vec<u8>]),
        source: &Source,
        rule: &MissingRule,
    ) -> bool {
        let is = |stamp: &FileStamp| match source {
            // A URL counts as unchanged, since it would have to be fetched.
            Source::Url(_) => true,
            Source::TarMember { member, .. } => member.has_untouched_tar(stamp),
            Source::File { .. } | Source::Stdin(_) => {
                stamp.matches_file(source.path()).unwrap_or(false)
            }
        };
        let is_there = |name: &[u8]| {
            let is_packed = packed.iter().any(|begin| name.starts_with(begin));
            is_packed || folder.join(path_from_bytes(name)).exists()
        };
        let is_done =
            self.done.as_ref().is_some_and(is) && self.outputs.iter().all(|name| is_there(name));
        is_done
            || rule.excludes_broken
                && self
                    .lasting_failure
                    .as_ref()
                    .is_some_and(|(stamp, _)| is(stamp))
    }
}

/// Indices of the `sources` whose outputs are missing in `folder`: they have no `done` line, an output no longer
/// exists, or the photo has changed since. A photo from standard input is always missing.
///
/// # Errors
/// Names the manifest file that cannot be read, or its line that is not understood.
pub fn find_missing(folder: &Path, sources: &[Source], rule: &MissingRule) -> Result<Vec<usize>> {
    let names = sources.iter().enumerate();
    let numbers: HashMap<PathKey, usize> = names
        .map(|(number, source)| (PathKey::of_photo("", &photo_name(source)), number))
        .collect();
    let mut tasks: Vec<String> = rule.tasks.clone();
    let mut packed: Vec<Vec<u8>> = Vec::new();
    let mut all: HashMap<(usize, usize), PhotoWork> = HashMap::new();
    for file in manifest_files(folder)? {
        read_file(&file, |line, _| {
            let of_tar = packed_prefixes(line);
            if !of_tar.is_empty() {
                if line.state == EntryState::Done {
                    packed.extend(of_tar);
                }
                return Ok(());
            }
            let task = tasks.iter().position(|task| *task == line.task);
            let task = match task {
                Some(task) => task,
                None if !rule.tasks.is_empty() => return Ok(()),
                None => {
                    tasks.push(line.task.clone());
                    tasks.len() - 1
                }
            };
            let number = numbers.get(&PathKey::of_photo("", &line.photo_name()));
            if let Some(&number) = number {
                all.entry((number, task)).or_default().add(line);
            }
            Ok(())
        })?;
    }
    let is_missing = |number: usize| {
        let source = &sources[number];
        let is_settled = |task: usize| {
            let work = all.get(&(number, task));
            work.is_some_and(|work| work.is_settled((folder, &packed), source, rule))
        };
        tasks.is_empty() || !(0..tasks.len()).all(is_settled)
    };
    let missing = (0..sources.len()).into_par_iter();
    Ok(missing.filter(|&number| is_missing(number)).collect())
}
