//! The in-memory index of a manifest, by output and by photo; compact enough for a million photos.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::io::manifest::entry::{EntryState, ManifestLine};
use crate::io::manifest::history::{OutputHistory, OutputOrigin, RecipeAndFit};
use crate::io::manifest::{PhotoFailure, PhotoName};
use crate::system::files::{Digest, FileStamp};

/// The first 16 bytes of the BLAKE3 digest of a path, which stand for the path to save memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PathKey([u8; 16]);

impl PathKey {
    /// The key of a path, given as bytes.
    pub fn of(path: &[u8]) -> Self {
        let mut half = [0; 16];
        let digest = Digest::of_bytes(path);
        half.copy_from_slice(&digest.as_bytes()[..16]);
        PathKey(half)
    }

    /// The key of a (task, photo) pair.
    pub fn of_photo(task: &str, (path, page): &PhotoName) -> Self {
        Self::of(&[task.as_bytes(), &[0], path, &[0], &page.to_le_bytes()].concat())
    }
}

/// The content of a manifest, by output and by photo.
#[derive(Debug, Default)]
pub(super) struct ManifestIndex {
    /// By the output's name. Boxed, since a hash table has up to twice as many slots as entries.
    outputs: HashMap<PathKey, Box<OutputHistory>>,
    /// Latest stamp of each photo, by its path.
    photos: HashMap<PathKey, Arc<FileStamp>>,
    /// Interned, since most outputs share them.
    recipes_and_fits: HashSet<Arc<RecipeAndFit>>,
    /// Tasks with outputs that have a fit.
    fitted_tasks: HashSet<String>,
    /// Failures that were not followed by success, by task and photo.
    failures: HashMap<PathKey, Box<KnownFailure>>,
    /// The latest time of a line.
    latest: u64,
}

/// A `failed` line.
#[derive(Debug)]
struct KnownFailure {
    photo: Option<FileStamp>,
    recipe: Digest,
    failure: PhotoFailure,
    time: u64,
}

impl ManifestIndex {
    /// Adds a line, which must be later than those of the same file that were added before.
    pub fn insert(&mut self, line: &ManifestLine) {
        self.latest = self.latest.max(line.time);
        let Some(photo) = self.intern_photo(line) else {
            self.insert_failure(line);
            return;
        };
        if line.state == EntryState::Failed {
            self.insert_failure(line);
            return;
        }
        if line.fit.is_some() && !self.fitted_tasks.contains(&line.task) {
            self.fitted_tasks.insert(line.task.clone());
        }
        if line.state == EntryState::Done && !self.failures.is_empty() {
            let key = PathKey::of_photo(&line.task, &line.photo_name());
            let is_over = |known: &KnownFailure| known.time <= line.time;
            if self.failures.get(&key).is_some_and(|known| is_over(known)) {
                self.failures.remove(&key);
            }
        }
        let origin = OutputOrigin {
            photo,
            recipe_and_fit: self.intern_procedure(line),
        };
        for (name, stamp) in line.outputs() {
            let history = self.outputs.entry(PathKey::of(&name)).or_default();
            history.insert((line.state, line.in_place), line.time, &origin, stamp);
        }
    }

    fn insert_failure(&mut self, line: &ManifestLine) {
        let Some(failure) = &line.error else {
            return;
        };
        let key = PathKey::of_photo(&line.task, &line.photo_name());
        let known = self.failures.get(&key);
        if known.is_none_or(|known| known.time <= line.time) {
            let known = KnownFailure {
                photo: line.photo.clone(),
                recipe: line.recipe,
                failure: failure.clone(),
                time: line.time,
            };
            self.failures.insert(key, Box::new(known));
        }
    }

    /// The failure of `task` for a photo, unless it has succeeded since: the photo's stamp at that time, the decoding
    /// recipe, and the reason.
    pub fn failure(
        &self,
        task: &str,
        photo: &PhotoName,
    ) -> Option<(Option<&FileStamp>, &Digest, &PhotoFailure)> {
        if self.failures.is_empty() {
            return None;
        }
        let known = self.failures.get(&PathKey::of_photo(task, photo))?;
        Some((known.photo.as_ref(), &known.recipe, &known.failure))
    }

    /// The latest time of a line, in milliseconds since 1970; 0 without lines.
    pub fn latest(&self) -> u64 {
        self.latest
    }

    /// Whether no output and no failure is known.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.failures.is_empty()
    }

    /// The history of the output `name`, as [`output_name`](super::output_names::output_name) gives it.
    pub fn history(&self, name: &[u8]) -> Option<&OutputHistory> {
        self.outputs
            .get(&PathKey::of(name))
            .map(|history| &**history)
    }

    /// The latest stamp of the photo at the absolute path `path`.
    pub fn photo_stamp(&self, path: &[u8]) -> Option<&FileStamp> {
        self.photos.get(&PathKey::of(path)).map(|stamp| &**stamp)
    }

    /// Whether outputs of `task` were ever made with a fit.
    pub fn has_fits(&self, task: &str) -> bool {
        self.fitted_tasks.contains(task)
    }

    /// The number of known outputs.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.outputs.len()
    }

    /// The stamp of the line's photo, shared with other lines about the same state of the photo.
    fn intern_photo(&mut self, line: &ManifestLine) -> Option<Arc<FileStamp>> {
        let photo = line.photo.as_ref()?;
        let known = self.photos.entry(PathKey::of(&line.input()));
        let known = known.or_insert_with(|| Arc::new(photo.clone()));
        if **known != *photo {
            *known = Arc::new(photo.clone());
        }
        Some(known.clone())
    }

    /// The line's recipe and fit, shared with other lines.
    fn intern_procedure(&mut self, line: &ManifestLine) -> Arc<RecipeAndFit> {
        let procedure = RecipeAndFit {
            recipe: line.recipe,
            fit: line.fit,
        };
        match self.recipes_and_fits.get(&procedure) {
            Some(known) => known.clone(),
            None => {
                let new = Arc::new(procedure);
                self.recipes_and_fits.insert(new.clone());
                new
            }
        }
    }
}
