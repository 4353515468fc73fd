//! The folder of installed models: `models/NAME.safetensors` under canonical names, and `models/NAME.json` about it.
//!
//! A model is installed once its JSON is there. The tensors are written and synced first, both files arrive by rename,
//! and everything happens under a lock per model: a killed run leaves only a `.tmp-NAME` folder, which the next one
//! removes, and of two runs at once the second finds the first one's result.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use candle_core::Tensor;
use etcetera::BaseStrategy;

use crate::backbone::BackboneConfig;
use crate::backbone::checkpoint::{Checkpoint, check_shapes};
use crate::backbone::source::TensorSource;
use crate::backbone::variants::Variant;
use crate::environment::{self, Variables};
use crate::error::{Error, Result};
use crate::weights::record::{self, FORMAT, Provenance, Record};
use crate::weights::tensorfile::{self, TensorFile};
use crate::weights::{Event, Events, digest};

/// The variable that says where the store is.
const HOME: &str = "DINO_HOME";

/// The error for a file or folder of the store that cannot be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind::{
        NotADirectory, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    let remedy = match error.kind() {
        StorageFull | QuotaExceeded => "; make room, or set DINO_HOME to a folder on another disk",
        // A lack of the second kind is one of a folder that cannot be made either, such as below /nonexistent in
        // containers, or /proc.
        PermissionDenied | ReadOnlyFilesystem | NotADirectory | NotFound => {
            "; set DINO_HOME to a folder that can be written"
        }
        _ => "",
    };
    with_remedy(path, error, remedy)
}

/// The error for a file or folder of the store that is there and cannot be read.
pub fn cannot_read(path: &Path, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => "; set DINO_HOME to a folder that can be read",
        _ => "",
    };
    with_remedy(path, error, remedy)
}

fn with_remedy(path: &Path, error: &io::Error, remedy: &str) -> Error {
    match Error::io(path, error) {
        Error::File { path, why } => Error::File {
            path,
            why: why + remedy,
        },
        other => other,
    }
}

/// The store. Opening it touches nothing; folders appear with the first install.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store at `$DINO_HOME`, else in the platform's data folder.
    ///
    /// # Errors
    /// If neither is known.
    pub fn open() -> Result<Self> {
        Store::from_variables(&Variables::of_process()).map(|(store, _)| store)
    }

    /// The same of other variables, and the variable that said where, or `default`.
    ///
    /// # Errors
    /// As there.
    pub fn from_variables(variables: &Variables) -> Result<(Self, &'static str)> {
        if let Some(home) = variables.path(HOME)? {
            return Ok((Store::at(home), HOME));
        }
        let base = etcetera::base_strategy::choose_native_strategy()
            .ok()
            .map(|base| base.data_dir())
            .filter(|folder| folder.is_absolute());
        let base = base.ok_or_else(|| {
            Error::Usage("no home folder is known; set DINO_HOME to a folder for models".to_owned())
        })?;
        let source = match variables.os("XDG_DATA_HOME") {
            Some(data) if base == data => "XDG_DATA_HOME",
            _ => "default",
        };
        Ok((Store::at(base.join("dino")), source))
    }

    /// What a user may not have meant: a `DINO_HOME` that is another folder wherever the program is run.
    pub fn remark(variables: &Variables) -> Option<String> {
        let value = variables
            .os(HOME)
            .filter(|value| !environment::is_whole(value))?;
        let path = variables.path(HOME).ok()??;
        Some(format!(
            "DINO_HOME is `{}`, from the working folder: {}",
            value.display(),
            path.display()
        ))
    }

    /// The store in the folder `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Store { root: root.into() }
    }

    /// The folder of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.models().join(format!("{name}.json"))
    }

    /// The safetensors file of the model `name`, whether or not it exists.
    pub fn tensors_path(&self, name: &str) -> PathBuf {
        self.models().join(format!("{name}.safetensors"))
    }

    /// Names of all installed models, sorted, each with its record or what is wrong with it.
    pub fn list(&self) -> Result<Vec<(String, Result<Record>)>> {
        let folder = self.models();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cannot_read(&folder, &error)),
        };
        let name_of = |entry: fs::DirEntry| {
            entry
                .file_name()
                .to_str()?
                .strip_suffix(".json")
                .map(str::to_owned)
        };
        let mut names: Vec<_> = entries
            .flatten()
            .filter_map(name_of)
            .filter(|name| record::check_name(name).is_ok())
            .collect();
        names.sort();
        let record = |name: String| self.get(&name).transpose().map(|record| (name, record));
        Ok(names.into_iter().filter_map(record).collect())
    }

    /// The model `name`, checked as far as that is cheap: its JSON, the file's size, and its header against the shape
    /// of its backbone. `None` when it is not installed.
    pub fn get(&self, name: &str) -> Result<Option<Record>> {
        record::check_name(name)?;
        let path = self.record_path(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot_read(&path, &error)),
        };
        let damaged = |why: String| {
            Error::file(
                &path,
                format!("{why}; `dino models rm {name}` and install it anew"),
            )
        };
        let record: Record =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if record.format != FORMAT {
            let why = format!(
                "has format {}, this version of dino reads {FORMAT}",
                record.format
            );
            return Err(damaged(why));
        }
        if record.name != name {
            return Err(damaged(format!("is about `{}`", record.name)));
        }
        let tensors = self.tensors_path(name);
        let damaged = |why: String| {
            Error::file(
                &tensors,
                format!("{why}; `dino models rm {name}` and install it anew"),
            )
        };
        let bytes = fs::metadata(&tensors)
            .map_err(|error| damaged(error.to_string()))?
            .len();
        if bytes != record.bytes {
            return Err(damaged(format!(
                "is {bytes} bytes long, was installed with {}",
                record.bytes
            )));
        }
        let variant = record.variant()?;
        let shapes = TensorFile::open(&tensors)
            .map_err(|error| damaged(without_path(&error)))?
            .shapes();
        let shapes = shapes
            .iter()
            .map(|(name, shape)| (name.as_str(), shape.as_slice()));
        check_shapes(&tensors.display().to_string(), shapes, &variant.config)?;
        Ok(Some(record))
    }

    /// The tensors of an installed model.
    pub fn read(&self, record: &Record) -> Result<Checkpoint> {
        let path = self.tensors_path(&record.name);
        let tensors = TensorFile::open(&path)?.read(&path, |_| true)?;
        let checkpoint = Checkpoint {
            origin: path.display().to_string(),
            tensors,
        };
        checkpoint.validate(&record.variant()?.config)?;
        Ok(checkpoint)
    }

    /// The tensors of an installed model, to be read one by one.
    pub fn tensors(&self, record: &Record) -> Result<Stored> {
        let path = self.tensors_path(&record.name);
        Ok(Stored {
            file: TensorFile::open(&path)?,
            path,
        })
    }

    /// Hashes the file and the tensors of `name` and compares them with what was installed.
    pub fn verify(&self, name: &str) -> Result<Record> {
        let record = self.get(name)?.ok_or_else(|| self.not_installed(name))?;
        let path = self.tensors_path(name);
        let changed = |what: &str, found: String, expected: &str| {
            let why = format!("{what} is {found}, was {expected} when it was installed");
            Error::file(
                &path,
                format!("{why}; `dino models rm {name}` and install it anew"),
            )
        };
        let sha256 = digest::file_sha256(&path)?;
        if sha256 != record.sha256 {
            return Err(changed("its SHA-256", sha256, &record.sha256));
        }
        let fingerprint = digest::fingerprint(&self.read(&record)?.tensors);
        if fingerprint != record.fingerprint {
            return Err(changed(
                "the fingerprint of its tensors",
                fingerprint,
                &record.fingerprint,
            ));
        }
        Ok(record)
    }

    /// Removes the model `name`, also a damaged one.
    pub fn remove(&self, name: &str) -> Result<()> {
        record::check_name(name)?;
        let slot = self.lock(name, &mut |_| Ok(()))?;
        let mut found = false;
        // The JSON first: without it the rest is no model.
        for path in [self.record_path(name), self.tensors_path(name)] {
            match fs::remove_file(&path) {
                Ok(()) => found = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(cannot_write(&path, &error)),
            }
        }
        drop(slot);
        if found {
            Ok(())
        } else {
            Err(self.not_installed(name))
        }
    }

    /// Installs `checkpoint` as `name`, replacing a model of that name.
    pub fn install(
        &self,
        name: &str,
        checkpoint: &Checkpoint,
        variant: &Variant,
        from: Provenance,
    ) -> Result<Record> {
        self.lock(name, &mut |_| Ok(()))?
            .install(checkpoint, variant, from)
    }

    /// Takes the lock of the model `name`, waiting for another process if there is one. Where the file system has no
    /// locks, each process works in a folder of its own, and the last to finish has installed what stays.
    pub fn lock(&self, name: &str, events: &mut Events<'_>) -> Result<Slot<'_>> {
        self.lock_with(name, events, &File::try_lock)
    }

    fn lock_with(
        &self,
        name: &str,
        events: &mut Events<'_>,
        try_lock: &dyn Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Slot<'_>> {
        record::check_name(name)?;
        let folder = self.models();
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
                events(Event::Note(&format!(
                    "waiting for another dino that is installing {name}"
                )))?;
                lock.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
        };
        let workdir = folder.join(format!(".tmp-{name}"));
        let slot = match locked {
            Ok(()) => {
                let slot = Slot {
                    store: self,
                    name: name.to_owned(),
                    workdir,
                    lock: Some(lock),
                };
                slot.clear()?;
                fs::create_dir(&slot.workdir)
                    .map_err(|error| cannot_write(&slot.workdir, &error))?;
                slot
            }
            Err(error) => {
                events(Event::Note(&format!(
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
                Slot {
                    store: self,
                    name: name.to_owned(),
                    workdir: own.keep(),
                    lock: None,
                }
            }
        };
        Ok(slot)
    }

    /// Removes what runs left that were killed more than a day ago.
    fn clear_old(&self, prefix: &str) {
        const DAY: Duration = Duration::from_secs(86_400);
        for entry in fs::read_dir(self.models()).into_iter().flatten().flatten() {
            let is_old = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
            let is_ours = entry.file_name().to_string_lossy().starts_with(prefix);
            if is_ours && is_old().is_some_and(|age| age > DAY) {
                // What cannot be removed is only in the way of the disk's other files.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// The error for a model that is not there.
    pub fn not_installed(&self, name: &str) -> Error {
        Error::Model(format!(
            "{name} is not installed in {}; `dino models list` shows what is",
            self.root.display()
        ))
    }
}

/// The tensors of an installed model on the disk.
#[derive(Debug)]
pub struct Stored {
    path: PathBuf,
    file: TensorFile,
}

impl TensorSource for Stored {
    fn validate(&self, config: &BackboneConfig) -> Result<()> {
        let shapes = self.file.shapes();
        let shapes = shapes
            .iter()
            .map(|(name, shape)| (name.as_str(), shape.as_slice()));
        check_shapes(&self.path.display().to_string(), shapes, config)
    }

    fn tensor(&self, name: &str) -> Result<Tensor> {
        self.file.read_one(&self.path, name)
    }

    fn lend(&self, name: &str, take: &mut dyn FnMut(&[f32])) -> Result<()> {
        self.file.lend(&self.path, name, take)
    }
}

/// The right to change one model, held until dropped, and a scratch folder beside it.
pub struct Slot<'a> {
    store: &'a Store,
    name: String,
    workdir: PathBuf,
    /// Held until the slot is dropped; none where the file system has no locks.
    lock: Option<File>,
}

impl Slot<'_> {
    /// An empty folder on the store's disk, gone with the slot.
    pub fn workdir(&self) -> &Path {
        &self.workdir
    }

    /// A file beside the models that outlives the slot, for a download to be resumed. Without a lock it is this
    /// process's own, and gone with the slot.
    pub fn partial(&self) -> PathBuf {
        match self.lock {
            Some(_) => self.store.models().join(format!(".part-{}", self.name)),
            None => self.workdir.join("part"),
        }
    }

    /// Writes the tensors and then the record.
    pub fn install(
        &self,
        checkpoint: &Checkpoint,
        variant: &Variant,
        from: Provenance,
    ) -> Result<Record> {
        checkpoint.validate(&variant.config)?;
        let written = self.workdir.join("tensors");
        tensorfile::write(&written, &checkpoint.tensors)?;
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| cannot_write(&path, &error)
        };
        let record = Record {
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

        // A record left from before must not vouch for the new tensors.
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
        let _ = File::open(self.store.models()).and_then(|folder| folder.sync_all());
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

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        let _ = self.clear();
    }
}

/// The reason alone, where the path is named by the caller.
fn without_path(error: &Error) -> String {
    match error {
        Error::File { why, .. } => why.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
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
            let mut events = |event: Event<'_>| {
                if let Event::Note(text) = event {
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
        let slot = store.lock("vits14", &mut |_| Ok(())).unwrap();
        assert!(!slot.partial().starts_with(slot.workdir()));
    }

    #[test]
    fn what_cannot_be_written_names_the_way_out() {
        let said = |code: i32| {
            let error = io::Error::from_raw_os_error(code);
            cannot_write(Path::new("/store/models"), &error).to_string()
        };
        for code in [13, 30, 20, 2] {
            let said = said(code);
            assert!(said.starts_with("/store/models: "), "{said}");
            assert!(
                said.ends_with("; set DINO_HOME to a folder that can be written"),
                "{said}"
            );
        }
        assert!(said(28).ends_with(
            "no space left on device; make room, or set DINO_HOME to a folder on another disk"
        ));
        assert!(said(5).ends_with("input/output error"), "{}", said(5));
    }

    #[cfg(unix)]
    #[test]
    fn the_folder_is_absolute_and_its_source_is_known() {
        let open = |pairs: &[(&str, &str)]| {
            let home = [("HOME", "/home/ada")];
            Store::from_variables(&Variables::from_pairs(home.iter().chain(pairs).copied()))
        };
        let here = std::env::current_dir().unwrap();
        for (value, path) in [
            ("/lab", "/lab".into()),
            ("~/lab", "/home/ada/lab".into()),
            ("lab", here.join("lab")),
        ] {
            let (store, source) = open(&[("DINO_HOME", value)]).unwrap();
            assert_eq!((store.root(), source), (path.as_path(), "DINO_HOME"));
        }
        let (usual, source) = open(&[("DINO_HOME", "")]).unwrap();
        assert!(
            usual.root().is_absolute() && usual.root().ends_with("dino"),
            "{usual:?}"
        );
        assert_ne!(source, "DINO_HOME");
        let error = open(&[("DINO_HOME", "$LAB/dino")]).unwrap_err().to_string();
        assert!(error.contains("LAB is not set"), "{error}");
        let remark = |value: &str| Store::remark(&Variables::from_pairs([("DINO_HOME", value)]));
        assert!(
            remark("lab")
                .unwrap()
                .contains(&here.join("lab").display().to_string())
        );
        assert_eq!(remark("/lab"), None);
        assert_eq!(remark(""), None);
    }
}
