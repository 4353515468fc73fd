//! The folder of cached features as a whole: its size and last use by model and data set, and removal of the least
//! recently used.
//!
//! Beside the features of a model ([`feature_cache`](crate::learn::train::feature_cache)) lies, for every data set that
//! was trained on with it, a file `<set>.set`: JSON with the name of the set and the names that its photos have in the
//! cache. It is written at each use, so that its modification time is that of the last use.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::system::files::write_atomic;

/// Hex digits of the SHA-256 of a photo's bytes by which the files of its features begin.
pub const PHOTO_HASH_DIGITS: usize = 32;

/// The name under which features of photos of no known data set are listed.
pub const NO_SET: &str = "unnamed";

/// The folder that the features of all models are cached in.
#[derive(Debug, Clone)]
pub struct CacheFolder {
    folder: PathBuf,
}

/// The cached features of one data set for one model. Photos of several sets count in each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The folder of the model: the first 16 digits of the fingerprint of its weights.
    pub model: String,
    /// Name of the data set; none for photos of no known set.
    pub set: Option<String>,
    /// Photos that have features.
    pub photos: usize,
    /// Bytes of their features on the disk.
    pub bytes: u64,
    /// When any of them was last used or written.
    pub last_used: SystemTime,
}

/// How much was removed from the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemovedFeatures {
    /// Photos whose features were removed.
    pub photos: usize,
    /// Bytes that were freed.
    pub bytes: u64,
}

/// The key of a photo's features: the folder of the model, and the first [`PHOTO_HASH_DIGITS`] digits of the photo's
/// SHA-256.
pub type PhotoKey = (String, String);

/// The contents of a `.set` file.
#[derive(Debug, Serialize, Deserialize)]
struct SetFile {
    set: String,
    photos: BTreeSet<String>,
}

/// The files with the features of one photo for one model.
#[derive(Debug)]
struct PhotoFeatures {
    files: Vec<PathBuf>,
    bytes: u64,
    last_used: SystemTime,
}

/// The contents of the whole cache.
#[derive(Debug, Default)]
struct Inventory {
    photos: BTreeMap<PhotoKey, PhotoFeatures>,
    /// By model and name of the set: its `.set` file, and its photos.
    sets: BTreeMap<(String, String), (PathBuf, BTreeSet<String>)>,
}

impl CacheFolder {
    /// The cache in `folder`, which need not exist.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        CacheFolder {
            folder: folder.into(),
        }
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The default limit in bytes: a tenth of the size of its file system; none where that is not known (not on Unix).
    pub fn default_limit(&self) -> Option<u64> {
        let mut nearest = std::path::absolute(&self.folder).ok()?;
        while !nearest.exists() {
            nearest.pop().then_some(())?;
        }
        size_of_file_system(&nearest).map(|bytes| bytes / 10)
    }

    /// The cached features by model and data set, in the order of their names.
    ///
    /// # Errors
    /// Where the folder, or one in it, cannot be read.
    pub fn list(&self) -> Result<Vec<CacheEntry>> {
        let inventory = self.inventory()?;
        let mut entries_by_set: BTreeMap<(String, Option<String>), CacheEntry> = BTreeMap::new();
        let sets_of = inventory.sets_of_photos();
        for ((model, photo), of_photo) in &inventory.photos {
            let sets = sets_of.get(&(model.as_str(), photo.as_str()));
            let sets: Vec<Option<String>> = match sets {
                Some(sets) => sets.iter().map(|set| Some((*set).to_owned())).collect(),
                None => vec![None],
            };
            for set in sets {
                let entry = entries_by_set.entry((model.clone(), set.clone()));
                let entry = entry.or_insert_with(|| CacheEntry {
                    model: model.clone(),
                    set,
                    photos: 0,
                    bytes: 0,
                    last_used: SystemTime::UNIX_EPOCH,
                });
                entry.photos += 1;
                entry.bytes += of_photo.bytes;
                entry.last_used = entry.last_used.max(of_photo.last_used);
            }
        }
        Ok(entries_by_set.into_values().collect())
    }

    /// Bytes of all features.
    ///
    /// # Errors
    /// As [`CacheFolder::list`].
    pub fn bytes(&self) -> Result<u64> {
        Ok(self.inventory()?.bytes())
    }

    /// Records that the features of `photos` of the data set `set` are used now, in the `.set` file.
    ///
    /// # Errors
    /// Where the file cannot be written.
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

    /// Removes the features of photos that were last used before `before`, and of others, the least recently used
    /// first, until no more than `max_bytes` are left. Photos for which `keeps` is true are never removed.
    ///
    /// # Errors
    /// Where a folder cannot be read or a file cannot be removed.
    pub fn prune(
        &self,
        before: Option<SystemTime>,
        max_bytes: Option<u64>,
        keeps: impl Fn(&PhotoKey) -> bool,
    ) -> Result<RemovedFeatures> {
        let inventory = self.inventory()?;
        let mut bytes = inventory.bytes();
        let mut photos: Vec<(&PhotoKey, &PhotoFeatures)> = inventory.photos.iter().collect();
        photos.sort_by_key(|(key, of_photo)| (of_photo.last_used, *key));
        let mut freed = RemovedFeatures::default();
        for (key, of_photo) in photos {
            let is_old = before.is_some_and(|before| of_photo.last_used < before);
            let is_over = max_bytes.is_some_and(|max_bytes| bytes > max_bytes);
            if (is_old || is_over) && !keeps(key) {
                of_photo.remove()?;
                bytes -= of_photo.bytes;
                freed.add(of_photo);
            }
        }
        self.tidy(keeps)?;
        Ok(freed)
    }

    /// Removes the features of `model`, or only those of its photos that are in `set` and in no other set; [`NO_SET`]
    /// means the photos of no set. None where the cache has no such model or set.
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

    /// Removes the `.set` files of sets without any photo that has features or that `keeps` expects, and the folders of
    /// models that are empty then.
    fn tidy(&self, keeps: impl Fn(&PhotoKey) -> bool) -> Result<()> {
        let inventory = self.inventory()?;
        for ((model, _), (path, photos)) in &inventory.sets {
            let is_there = |photo: &String| {
                let key = (model.clone(), photo.clone());
                inventory.photos.contains_key(&key) || keeps(&key)
            };
            if !photos.iter().any(is_there) {
                remove_file(path)?;
                // Fails, as it should, where anything else lies in the folder.
                let _ = fs::remove_dir(self.folder.join(model));
            }
        }
        Ok(())
    }

    /// Reads the whole folder.
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
        // Another process may remove the file at this moment.
        let (Some((photo, _)), Ok(metadata)) = (name.split_once('-'), fs::metadata(path)) else {
            return;
        };
        let of_photo = self.photos.entry((model.to_owned(), photo.to_owned()));
        let of_photo = of_photo.or_insert_with(|| PhotoFeatures {
            files: Vec::new(),
            bytes: 0,
            last_used: SystemTime::UNIX_EPOCH,
        });
        of_photo.files.push(path.to_owned());
        of_photo.bytes += metadata.len();
        of_photo.last_used = of_photo.last_used.max(modified(&metadata));
    }

    fn add_set(&mut self, model: &str, path: &Path) {
        if let Some(file) = read_set(path) {
            let key = (model.to_owned(), file.set);
            self.sets.insert(key, (path.to_owned(), file.photos));
        }
    }

    /// Takes the modification time of a `.set` file as a use of each of its photos.
    fn date(&mut self) {
        for ((model, _), (path, photos)) in &self.sets {
            let Ok(metadata) = fs::metadata(path) else {
                continue;
            };
            for photo in photos {
                if let Some(of_photo) = self.photos.get_mut(&(model.clone(), photo.clone())) {
                    of_photo.last_used = of_photo.last_used.max(modified(&metadata));
                }
            }
        }
    }

    /// The names of the sets that each photo is in, by model and photo.
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

/// The entries of `folder`, sorted; none where it does not exist.
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

/// Removes a file; one that another process has removed already is no error.
fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path, &error)),
        _ => Ok(()),
    }
}

fn modified(metadata: &fs::Metadata) -> SystemTime {
    metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Reads a `.set` file; none where it cannot be read or is not of this form.
fn read_set(path: &Path) -> Option<SetFile> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// The name of the `.set` file of a data set: the letters and digits of its name, and a hash of all of it.
fn set_file_name(set: &str) -> String {
    let plain: String = set
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(40)
        .collect();
    let digest = blake3::hash(set.as_bytes()).to_hex();
    format!("{plain}-{}.set", &digest[..8])
}

/// Bytes of the file system that `path` lies on.
#[cfg(unix)]
fn size_of_file_system(path: &Path) -> Option<u64> {
    let metadata = rustix::fs::statvfs(path).ok()?;
    Some(metadata.f_blocks * metadata.f_frsize)
}

#[cfg(not(unix))]
fn size_of_file_system(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
