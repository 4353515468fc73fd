//! What the lines of a manifest say about each output, in as little memory as a million photos need.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::io::manifest::entry::{Line, State};
use crate::io::manifest::history::{History, Origin, Procedure};
use crate::io::manifest::{Failure, PhotoName};
use crate::system::files::{Digest, Stamp};

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
pub(super) struct Index {
    /// In boxes, since the table has twice as many places as outputs when it has just grown.
    outputs: HashMap<PathKey, Box<History>>,
    photos: HashMap<PathKey, Arc<Stamp>>,
    procedures: HashSet<Arc<Procedure>>,
    /// The tasks that had fits to photos.
    fits: HashSet<String>,
    /// By task and photo, of those of which nothing was made since.
    failures: HashMap<PathKey, Box<Known>>,
    latest: u64,
}

/// A failure that is known.
#[derive(Debug)]
struct Known {
    photo: Option<Stamp>,
    recipe: Digest,
    failure: Failure,
    time: u64,
}

impl Index {
    /// Takes in a line, which is later than those before that are of the same file.
    pub fn insert(&mut self, line: &Line) {
        self.latest = self.latest.max(line.time);
        let Some(photo) = self.photo_of(line) else {
            self.fail(line);
            return;
        };
        if line.state == State::Failed {
            self.fail(line);
            return;
        }
        if line.fit.is_some() && !self.fits.contains(&line.task) {
            self.fits.insert(line.task.clone());
        }
        if line.state == State::Done && !self.failures.is_empty() {
            let key = PathKey::of_photo(&line.task, &line.photo_name());
            let is_over = |known: &Known| known.time <= line.time;
            if self.failures.get(&key).is_some_and(|known| is_over(known)) {
                self.failures.remove(&key);
            }
        }
        let origin = Origin {
            photo,
            procedure: self.procedure_of(line),
        };
        for (name, stamp) in line.outputs() {
            let history = self.outputs.entry(PathKey::of(&name)).or_default();
            history.insert((line.state, line.in_place), line.time, &origin, stamp);
        }
    }

    fn fail(&mut self, line: &Line) {
        let Some(failure) = &line.error else {
            return;
        };
        let key = PathKey::of_photo(&line.task, &line.photo_name());
        let known = self.failures.get(&key);
        if known.is_none_or(|known| known.time <= line.time) {
            let known = Known {
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
    ) -> Option<(Option<&Stamp>, &Digest, &Failure)> {
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
    pub fn history(&self, name: &[u8]) -> Option<&History> {
        self.outputs
            .get(&PathKey::of(name))
            .map(|history| &**history)
    }

    /// The latest stamp of the photo at `path`.
    pub fn photo(&self, path: &[u8]) -> Option<&Stamp> {
        self.photos.get(&PathKey::of(path)).map(|stamp| &**stamp)
    }

    /// Whether outputs of `task` were ever made with a fit to photos.
    pub fn knows_fits(&self, task: &str) -> bool {
        self.fits.contains(task)
    }

    /// How many outputs are known.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.outputs.len()
    }

    fn photo_of(&mut self, line: &Line) -> Option<Arc<Stamp>> {
        let photo = line.photo.as_ref()?;
        let known = self.photos.entry(PathKey::of(&line.input()));
        let known = known.or_insert_with(|| Arc::new(photo.clone()));
        if **known != *photo {
            *known = Arc::new(photo.clone());
        }
        Some(known.clone())
    }

    fn procedure_of(&mut self, line: &Line) -> Arc<Procedure> {
        let procedure = Procedure {
            recipe: line.recipe,
            fit: line.fit,
        };
        match self.procedures.get(&procedure) {
            Some(known) => known.clone(),
            None => {
                let new = Arc::new(procedure);
                self.procedures.insert(new.clone());
                new
            }
        }
    }
}
