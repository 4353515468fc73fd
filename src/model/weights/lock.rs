//! Changes of the store: every one is made under the lock of its model, in a work folder beside the models.
//!
//! [`Store::install`] and [`Store::remove`] take the lock themselves; a download holds it from its first byte to the
//! installation, so that a second program that wants the same model waits and then uses the first one's result.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::model::backbone::checkpoint::Checkpoint;
use crate::model::backbone::variants::Variant;
use crate::model::weights::events::{FetchEvent, FetchEventSink};
use crate::model::weights::record::{self, FORMAT, ModelRecord, Provenance};
use crate::model::weights::store::Store;
use crate::model::weights::store_errors::cannot_write;
use crate::model::weights::{digest, tensorfile};

impl Store {
    /// Takes the lock of the model `name`, waiting for another process if there is one. Where the file system has no
    /// locks, each process works in a folder of its own, and the installation of the last to finish remains.
    ///
    /// # Errors
    /// If `name` is no name of a model, the folder cannot be written, or `events` stops the work.
    pub fn lock(&self, name: &str, events: &mut FetchEventSink<'_>) -> Result<ModelLock<'_>> {
        self.lock_with(name, events, &File::try_lock)
    }

    /// Removes the model `name`, also a damaged one.
    ///
    /// # Errors
    /// If it is not installed, or cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        record::check_name(name)?;
        let model_lock = self.lock(name, &mut |_| Ok(()))?;
        let mut found = false;
        // The JSON first: without it the rest is no model.
        for path in [self.record_path(name), self.tensors_path(name)] {
            match fs::remove_file(&path) {
                Ok(()) => found = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(cannot_write(&path, &error)),
            }
        }
        drop(model_lock);
        if found {
            Ok(())
        } else {
            Err(self.not_installed(name))
        }
    }

    /// Installs `checkpoint` as `name`, replacing a model of that name.
    ///
    /// # Errors
    /// As [`ModelLock::install`].
    pub fn install(
        &self,
        name: &str,
        checkpoint: &Checkpoint,
        variant: &Variant,
        from: Provenance,
    ) -> Result<ModelRecord> {
        self.lock(name, &mut |_| Ok(()))?
            .install(checkpoint, variant, from)
    }

    fn lock_with(
        &self,
        name: &str,
        events: &mut FetchEventSink<'_>,
        try_lock: &dyn Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<ModelLock<'_>> {
        record::check_name(name)?;
        let folder = self.models_folder();
        fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, &error))?;
        let path = folder.join(format!(".lock-{name}"));
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| cannot_write(&path, &error))?;
        let locked = match try_lock(&lock) {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                events(FetchEvent::Note(&format!(
                    "waiting for another dino that is installing {name}"
                )))?;
                lock.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
        };
        let workdir = folder.join(format!(".tmp-{name}"));
        let model_lock = match locked {
            Ok(()) => {
                let model_lock = ModelLock {
                    store: self,
                    name: name.to_owned(),
                    workdir,
                    lock: Some(lock),
                };
                model_lock.clear()?;
                fs::create_dir(&model_lock.workdir)
                    .map_err(|error| cannot_write(&model_lock.workdir, &error))?;
                model_lock
            }
            Err(error) => {
                events(FetchEvent::Note(&format!(
                    "{} cannot be locked ({error}); so another dino that installs {name} at the same time is not waited \
                     for, and a broken download begins anew",
                    folder.display()
                )))?;
                // No name of a model has such a character.
                let prefix = format!(".tmp-{name}~");
                self.clear_old(&prefix);
                let own = tempfile::Builder::new()
                    .prefix(&prefix)
                    .tempdir_in(&folder)
                    .map_err(|error| cannot_write(&folder, &error))?;
                ModelLock {
                    store: self,
                    name: name.to_owned(),
                    workdir: own.keep(),
                    lock: None,
                }
            }
        };
        Ok(model_lock)
    }

    /// Removes work folders that were left behind by runs killed more than a day ago.
    fn clear_old(&self, prefix: &str) {
        const DAY: Duration = Duration::from_secs(86_400);
        for entry in fs::read_dir(self.models_folder())
            .into_iter()
            .flatten()
            .flatten()
        {
            let is_old = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
            let is_ours = entry.file_name().to_string_lossy().starts_with(prefix);
            if is_ours && is_old().is_some_and(|age| age > DAY) {
                // A folder that cannot be removed only takes space.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// The exclusive right to change one model, held until dropped, with a work folder.
pub struct ModelLock<'a> {
    store: &'a Store,
    name: String,
    workdir: PathBuf,
    /// The locked file; `None` where the file system has no locks.
    lock: Option<File>,
}

impl ModelLock<'_> {
    /// A work folder on the store's disk, empty at first and removed when the lock is dropped.
    pub fn workdir(&self) -> &Path {
        &self.workdir
    }

    /// Path of a download's partial file, which outlives the lock so that a later run can resume it. Where the file
    /// system has no locks it lies in the work folder and is removed with that.
    pub fn partial(&self) -> PathBuf {
        match self.lock {
            Some(_) => self
                .store
                .models_folder()
                .join(format!(".part-{}", self.name)),
            None => self.workdir.join("part"),
        }
    }

    /// Writes the tensors of `checkpoint` and then the record, both by rename; a killed run leaves no half of a model.
    ///
    /// # Errors
    /// If the checkpoint does not have the shapes of `variant`, holds numbers that are not finite, or cannot be
    /// written.
    pub fn install(
        &self,
        checkpoint: &Checkpoint,
        variant: &Variant,
        from: Provenance,
    ) -> Result<ModelRecord> {
        checkpoint.validate(&variant.config)?;
        checkpoint.check_finite()?;
        let written = self.workdir.join("tensors");
        tensorfile::write(&written, &checkpoint.tensors)?;
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| cannot_write(&path, &error)
        };
        let record = ModelRecord {
            format: FORMAT,
            name: self.name.clone(),
            variant: variant.name.to_owned(),
            source: from.source,
            license: from.license,
            sha256: digest::file_sha256(&written)?,
            fingerprint: digest::fingerprint(&checkpoint.tensors),
            bytes: fs::metadata(&written).map_err(io(&written))?.len(),
            imported_at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        };
        let json = self.workdir.join("record");
        let text = serde_json::to_string_pretty(&record)
            .map_err(|error| Error::file(&json, error.to_string()))?;
        fs::write(&json, text + "\n")
            .and_then(|()| File::open(&json)?.sync_all())
            .map_err(io(&json))?;

        // Temporary files are private; a store may serve many users, so the tensors get what the umask gives the JSON.
        // Some file systems have no permissions, and refuse to set any.
        let _ =
            fs::metadata(&json).and_then(|like| fs::set_permissions(&written, like.permissions()));

        // An old record must not describe the new tensors, even for a moment.
        let target = self.store.record_path(&self.name);
        match fs::remove_file(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(cannot_write(&target, &error));
            }
            _ => {}
        }
        let tensors = self.store.tensors_path(&self.name);
        fs::rename(&written, &tensors).map_err(io(&tensors))?;
        fs::rename(&json, &target).map_err(io(&target))?;
        // Some file systems cannot sync a folder; the files are.
        #[cfg(unix)]
        let _ = File::open(self.store.models_folder()).and_then(|folder| folder.sync_all());
        Ok(record)
    }

    fn clear(&self) -> Result<()> {
        match fs::remove_dir_all(&self.workdir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(cannot_write(&self.workdir, &error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for ModelLock<'_> {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        let _ = self.clear();
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn without_locks_each_works_in_a_folder_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::at(root.path());
        // ENOLCK, EOPNOTSUPP, ENOSYS.
        for code in [37, 95, 38] {
            let none = |_: &File| Err(TryLockError::Error(io::Error::from_raw_os_error(code)));
            let mut notes = Vec::new();
            let mut events = |event: FetchEvent<'_>| {
                if let FetchEvent::Note(text) = event {
                    notes.push(text.to_owned());
                }
                Ok(())
            };
            let first = store.lock_with("vits14", &mut events, &none).unwrap();
            let second = store.lock_with("vits14", &mut events, &none).unwrap();
            assert_ne!(first.workdir(), second.workdir());
            assert!(first.partial().starts_with(first.workdir()));
            let workdir = second.workdir().to_owned();
            fs::write(second.partial(), "half").unwrap();
            drop((first, second));
            assert!(!workdir.exists());
            assert!(notes[0].contains("cannot be locked"), "{notes:?}");
        }
        let model_lock = store.lock("vits14", &mut |_| Ok(())).unwrap();
        assert!(!model_lock.partial().starts_with(model_lock.workdir()));
    }
}
