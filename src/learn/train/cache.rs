//! What the folder of cached features holds: of which model and data set, how much of it, and when it was last used.
//!
//! Beside the features of a model ([`features`](crate::learn::train::features)) lies, for every data set that was trained on
//! with it, a file `<set>.set`: JSON with the set's name and its photos, as they are called in the names of features.
//! It is written at each use, so that its time is that of the last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::system::files::write_atomic;

/// Hex digits of a photo's SHA-256 in the names of its features.
pub const PHOTO_HASH_DIGITS: usize = 32;

/// What features of photos in no known set are listed under.
pub const NO_SET: &str = "unnamed";

/// A folder of cached features.
#[derive(Debug, Clone)]
pub struct CacheFolder {
    folder: PathBuf,
}

/// The features of a data set's photos for one model. Photos of several sets count in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The folder of the model: the start of its weights' fingerprint.
    pub model: String,
    /// The data set; none of photos of which none is known.
    pub set: Option<String>,
    /// How many photos have features.
    pub photos: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// When one of them was last used, or made.
    pub last_used: SystemTime,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemovedFeatures {
    /// Photos of which it was.
    pub photos: usize,
    /// Bytes.
    pub bytes: u64,
}

/// By which the features of a photo are found: the model's folder, and the photo's name.
pub type PhotoKey = (String, String);

/// What a set's file says.
#[derive(Debug, Serialize, Deserialize)]
struct SetFile {
    set: String,
    photos: BTreeSet<String>,
}

/// All features of one photo.
#[derive(Debug)]
struct PhotoFeatures {
    files: Vec<PathBuf>,
    bytes: u64,
    last_used: SystemTime,
}

/// Everything that there is.
#[derive(Debug, Default)]
struct Inventory {
    photos: BTreeMap<PhotoKey, PhotoFeatures>,
    /// By model and set: the file, and the photos.
    sets: BTreeMap<(String, String), (PathBuf, BTreeSet<String>)>,
}

impl CacheFolder {
    /// The cache in `folder`, which need not be there.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        CacheFolder {
            folder: folder.into(),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Bytes that it may take if nothing is said about it: a tenth of its file system; none where that is not known.
    pub fn default_limit(&self) -> Option<u64> {
        let mut nearest = std::path::absolute(&self.folder).ok()?;
        while !nearest.exists() {
            nearest.pop().then_some(())?;
        }
        size_of_file_system(&nearest).map(|bytes| bytes / 10)
    }

    /// What there is, of each model and set.
    ///
    /// # Errors
    /// Names the folder that cannot be read.
    pub fn list(&self) -> Result<Vec<CacheEntry>> {
        let inventory = self.inventory()?;
        let mut holdings: BTreeMap<(String, Option<String>), CacheEntry> = BTreeMap::new();
        let sets_of = inventory.sets_of_photos();
        for ((model, photo), of_photo) in &inventory.photos {
            let sets = sets_of.get(&(model.as_str(), photo.as_str()));
            let sets: Vec<Option<String>> = match sets {
                Some(sets) => sets.iter().map(|set| Some((*set).to_owned())).collect(),
                None => vec![None],
            };
            for set in sets {
                let holding = holdings.entry((model.clone(), set.clone()));
                let holding = holding.or_insert_with(|| CacheEntry {
                    model: model.clone(),
                    set,
                    photos: 0,
                    bytes: 0,
                    last_used: SystemTime::UNIX_EPOCH,
                });
                holding.photos += 1;
                holding.bytes += of_photo.bytes;
                holding.last_used = holding.last_used.max(of_photo.last_used);
            }
        }
        Ok(holdings.into_values().collect())
    }

    /// Bytes of all features.
    ///
    /// # Errors
    /// As [`CacheFolder::list`].
    pub fn bytes(&self) -> Result<u64> {
        Ok(self.inventory()?.bytes())
    }

    /// Notes that the features of a set's `photos` are in use now.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn note_use(&self, model: &str, set: &str, photos: BTreeSet<String>) -> Result<()> {
        let path = self.folder.join(model).join(set_file_name(set));
        let mut file = SetFile {
            set: set.to_owned(),
            photos,
        };
        if let Some(known) = read_set(&path) {
            file.photos.extend(known.photos);
        }
        let bytes = serde_json::to_vec(&file).map_err(|error| Error::io(&path, &error.into()))?;
        write_atomic(&path, |writer| writer.write_all(&bytes))
    }

    /// Removes the features of photos that were last used before `before`, then of those that were longest not in use until
    /// no more than `most` bytes are left. Photos that `keeps` has are never removed.
    ///
    /// # Errors
    /// Names what cannot be read or removed.
    pub fn prune(
        &self,
        before: Option<SystemTime>,
        most: Option<u64>,
        keeps: impl Fn(&PhotoKey) -> bool,
    ) -> Result<RemovedFeatures> {
        let inventory = self.inventory()?;
        let mut bytes = inventory.bytes();
        let mut photos: Vec<(&PhotoKey, &PhotoFeatures)> = inventory.photos.iter().collect();
        photos.sort_by_key(|(key, of_photo)| (of_photo.last_used, *key));
        let mut freed = RemovedFeatures::default();
        for (key, of_photo) in photos {
            let is_old = before.is_some_and(|before| of_photo.last_used < before);
            let is_over = most.is_some_and(|most| bytes > most);
            if (is_old || is_over) && !keeps(key) {
                of_photo.remove()?;
                bytes -= of_photo.bytes;
                freed.add(of_photo);
            }
        }
        self.tidy(keeps)?;
        Ok(freed)
    }

    /// Removes the features of `model`, or those of its photos that are in `set` and in no other; [`NO_SET`] is that of
    /// photos in none. None if there is no such model or set.
    ///
    /// # Errors
    /// As [`CacheFolder::prune`].
    pub fn remove(&self, model: &str, set: Option<&str>) -> Result<Option<RemovedFeatures>> {
        let inventory = self.inventory()?;
        let sets_of = inventory.sets_of_photos();
        let set_file = set.and_then(|set| inventory.sets.get(&(model.to_owned(), set.to_owned())));
        let mut freed = RemovedFeatures::default();
        let mut is_known = set_file.is_some();
        for ((of_model, photo), of_photo) in &inventory.photos {
            if of_model != model {
                continue;
            }
            let sets = sets_of.get(&(model, photo.as_str()));
            let is_meant = match (set, sets) {
                (None, _) => true,
                (Some(set), None) => set_file.is_none() && set == NO_SET,
                (Some(set), Some(sets)) => sets.as_slice() == [set],
            };
            if is_meant {
                is_known = true;
                of_photo.remove()?;
                freed.add(of_photo);
            }
        }
        if let Some((path, _)) = set_file {
            remove_file(path)?;
        }
        self.tidy(|_| false)?;
        Ok(is_known.then_some(freed))
    }

    /// Removes the files of sets of which nothing is left or, of photos that `keeps` has, is to come; and folders of models
    /// without features.
    fn tidy(&self, keeps: impl Fn(&PhotoKey) -> bool) -> Result<()> {
        let inventory = self.inventory()?;
        for ((model, _), (path, photos)) in &inventory.sets {
            let is_there = |photo: &String| {
                let key = (model.clone(), photo.clone());
                inventory.photos.contains_key(&key) || keeps(&key)
            };
            if !photos.iter().any(is_there) {
                remove_file(path)?;
                // Not if anything else lies there.
                let _ = fs::remove_dir(self.folder.join(model));
            }
        }
        Ok(())
    }

    fn inventory(&self) -> Result<Inventory> {
        let mut inventory = Inventory::default();
        for folder in entries(&self.folder)? {
            let Some(model) = folder.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if !folder.is_dir() {
                continue;
            }
            for path in entries(&folder)? {
                let name = path.file_name().and_then(|name| name.to_str());
                match name.and_then(|name| name.rsplit_once('.')) {
                    Some((rest, "tokens")) => inventory.add(model, rest, &path),
                    Some((_, "set")) => inventory.add_set(model, &path),
                    _ => {}
                }
            }
        }
        inventory.date();
        Ok(inventory)
    }
}

impl Inventory {
    fn bytes(&self) -> u64 {
        self.photos.values().map(|of_photo| of_photo.bytes).sum()
    }

    fn add(&mut self, model: &str, name: &str, path: &Path) {
        // Another run may remove it this moment.
        let (Some((photo, _)), Ok(met)) = (name.split_once('-'), fs::metadata(path)) else {
            return;
        };
        let of_photo = self.photos.entry((model.to_owned(), photo.to_owned()));
        let of_photo = of_photo.or_insert_with(|| PhotoFeatures {
            files: Vec::new(),
            bytes: 0,
            last_used: SystemTime::UNIX_EPOCH,
        });
        of_photo.files.push(path.to_owned());
        of_photo.bytes += met.len();
        of_photo.last_used = of_photo.last_used.max(modified(&met));
    }

    fn add_set(&mut self, model: &str, path: &Path) {
        if let Some(file) = read_set(path) {
            let key = (model.to_owned(), file.set);
            self.sets.insert(key, (path.to_owned(), file.photos));
        }
    }

    /// What is used of a set is used of its photos.
    fn date(&mut self) {
        for ((model, _), (path, photos)) in &self.sets {
            let Ok(met) = fs::metadata(path) else {
                continue;
            };
            for photo in photos {
                if let Some(of_photo) = self.photos.get_mut(&(model.clone(), photo.clone())) {
                    of_photo.last_used = of_photo.last_used.max(modified(&met));
                }
            }
        }
    }

    /// The sets that each photo is in, by model and photo.
    fn sets_of_photos(&self) -> HashMap<(&str, &str), Vec<&str>> {
        let mut sets_of: HashMap<(&str, &str), Vec<&str>> = HashMap::new();
        for ((model, set), (_, photos)) in &self.sets {
            for photo in photos {
                sets_of.entry((model, photo)).or_default().push(set);
            }
        }
        sets_of
    }
}

impl PhotoFeatures {
    fn remove(&self) -> Result<()> {
        self.files.iter().try_for_each(|path| remove_file(path))
    }
}

impl RemovedFeatures {
    fn add(&mut self, of_photo: &PhotoFeatures) {
        self.photos += 1;
        self.bytes += of_photo.bytes;
    }
}

/// What is in `folder`, in order; nothing if it is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: &std::io::Error| Error::io(folder, error);
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    let paths = read.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>().map_err(|e| failed(&e))?;
    paths.sort();
    Ok(paths)
}

/// Another run may have been faster.
fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path, &error)),
        _ => Ok(()),
    }
}

fn modified(met: &fs::Metadata) -> SystemTime {
    met.modified().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A set's file; none that was written by something else.
fn read_set(path: &Path) -> Option<SetFile> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// The file of a set, of whose name only what every file system takes is in it.
fn set_file_name(set: &str) -> String {
    let plain: String = set
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(40)
        .collect();
    let digest = blake3::hash(set.as_bytes()).to_hex();
    format!("{plain}-{}.set", &digest[..8])
}

#[cfg(unix)]
fn size_of_file_system(path: &Path) -> Option<u64> {
    let met = rustix::fs::statvfs(path).ok()?;
    Some(met.f_blocks * met.f_frsize)
}

#[cfg(not(unix))]
fn size_of_file_system(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
