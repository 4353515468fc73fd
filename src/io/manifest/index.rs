//! What the lines of a manifest say about each output, in as little memory as a million photos need.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::io::manifest::entry::{EntryState, ManifestLine};
use crate::io::manifest::history::{OutputHistory, OutputOrigin, RecipeAndFit};
use crate::io::manifest::{PhotoFailure, PhotoName};
use crate::system::files::{Digest, FileStamp};

/// A path by half of its digest, shorter than the path and, among any number of them, as good as it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PathKey([u8; 16]);

impl PathKey {
    pub fn of(path: &[u8]) -> Self {
        let mut half = [0; 16];
        let digest = Digest::of_bytes(path);
        half.copy_from_slice(&digest.as_bytes()[..16]);
        PathKey(half)
    }

    /// Of what `task` made of a photo.
    pub fn of_photo(task: &str, (path, page): &PhotoName) -> Self {
        Self::of(&[task.as_bytes(), &[0], path, &[0], &page.to_le_bytes()].concat())
    }
}

/// What is known about all outputs and photos.
#[derive(Debug, Default)]
pub(super) struct ManifestIndex {
    /// In boxes, since the table has twice as many places as outputs when it has just grown.
    outputs: HashMap<PathKey, Box<OutputHistory>>,
    photos: HashMap<PathKey, Arc<FileStamp>>,
    recipes_and_fits: HashSet<Arc<RecipeAndFit>>,
    /// The tasks that had fits to photos.
    fitted_tasks: HashSet<String>,
    /// By task and photo, of those of which nothing was made since.
    failures: HashMap<PathKey, Box<KnownFailure>>,
    latest: u64,
}

/// A failure that is known.
#[derive(Debug)]
struct KnownFailure {
    photo: Option<FileStamp>,
    recipe: Digest,
    failure: PhotoFailure,
    time: u64,
}

impl ManifestIndex {
    /// Takes in a line, which is later than those before that are of the same file.
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

    /// How the photo failed for `task`, if nothing was made of it since: its stamp then, the recipe, and why.
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

    /// The latest time of a line.
    pub fn latest(&self) -> u64 {
        self.latest
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.failures.is_empty()
    }

    /// What is known about the output `name`.
    pub fn history(&self, name: &[u8]) -> Option<&OutputHistory> {
        self.outputs
            .get(&PathKey::of(name))
            .map(|history| &**history)
    }

    /// The latest stamp of the photo at `path`.
    pub fn photo_stamp(&self, path: &[u8]) -> Option<&FileStamp> {
        self.photos.get(&PathKey::of(path)).map(|stamp| &**stamp)
    }

    /// Whether outputs of `task` were ever made with a fit to photos.
    pub fn has_fits(&self, task: &str) -> bool {
        self.fitted_tasks.contains(task)
    }

    /// How many outputs are known.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.outputs.len()
    }

    fn intern_photo(&mut self, line: &ManifestLine) -> Option<Arc<FileStamp>> {
        let photo = line.photo.as_ref()?;
        let known = self.photos.entry(PathKey::of(&line.input()));
        let known = known.or_insert_with(|| Arc::new(photo.clone()));
        if **known != *photo {
            *known = Arc::new(photo.clone());
        }
        Some(known.clone())
    }

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
