//! Installation of weights that the user brings: a file, a folder, or a stream.
//!
//! [`import`](crate::model::weights::import) reads and recognises the checkpoint; this module names it, checks it
//! against the row of that name, and writes it into the store under the model's lock.

use std::io::{self, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::model::backbone::variants;
use crate::model::weights::digest;
use crate::model::weights::events::FetchEventSink;
use crate::model::weights::import::{self, ImportedCheckpoint};
use crate::model::weights::record::{self, InstalledModel, ModelRecord, Provenance};
use crate::model::weights::store::Store;
use crate::model::weights::store_errors::cannot_write_temporary;
use crate::system::files::temporary::scratch_file;
use crate::system::interrupt::{self, UnfinishedPath, WaitGuard};

/// Installs the weights in `path` (a file or a folder) under `name`, or under the name of its row of the table.
///
/// # Errors
/// If the file is no checkpoint of a DINOv2 backbone, does not fit `name`, another model of that name is installed, or
/// the store cannot be written.
pub fn import(
    store: &Store,
    path: &Path,
    name: Option<&str>,
    events: &mut FetchEventSink<'_>,
) -> Result<InstalledModel> {
    let origin = path.display().to_string();
    let imported = import::read(path, &origin)?;
    let source = path
        .canonicalize()
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string();
    install_import(store, imported, source, name, events)
}

/// As [`import()`] for weights that come through a pipe; `origin` is the pipe's name in messages and in the record.
///
/// # Errors
/// As [`import()`]; if the stream cannot be read or there is no space for a temporary file; [`Error::Interrupted`].
pub fn import_stream(
    store: &Store,
    (stream, origin): (&mut dyn io::Read, &str),
    name: Option<&str>,
    events: &mut FetchEventSink<'_>,
) -> Result<InstalledModel> {
    let mut file =
        scratch_file().map_err(|error| cannot_write_temporary(&std::env::temp_dir(), &error))?;
    let path = file.path().to_owned();
    let _unfinished = UnfinishedPath::new(&path);
    let mut buffer = vec![0; 1 << 18];
    loop {
        let waiting = WaitGuard::begin();
        interrupt::check()?;
        let read = stream.read(&mut buffer);
        drop(waiting);
        match read {
            Ok(0) => break,
            Ok(read) => file
                .write_all(&buffer[..read])
                .map_err(|error| cannot_write_temporary(&path, &error))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io(origin, &error)),
        }
    }
    let imported = import::read(file.path(), origin)?;
    install_import(store, imported, origin.to_owned(), name, events)
}

fn install_import(
    store: &Store,
    imported: ImportedCheckpoint,
    source: String,
    name: Option<&str>,
    events: &mut FetchEventSink<'_>,
) -> Result<InstalledModel> {
    let ImportedCheckpoint {
        checkpoint,
        variant: known,
        downstream_modules: on_top,
    } = imported;
    let detected = match known {
        Some(variant) => variant,
        None => checkpoint.detect()?,
    };
    if known.is_none() && name.is_none() && !on_top.is_empty() {
        let parts: Vec<String> = on_top.iter().map(|part| format!("`{part}`")).collect();
        return Err(Error::Usage(format!(
            "{source} holds more than a backbone: {} too, with which it may have been trained on, so that it need not be the \
             published {} whose shape it has; give it a name of its own with --as NAME, or let `dino heads import` take the \
             head with it, if that is one that was published",
            parts.join(", "),
            detected.name
        )));
    }
    let name = name.unwrap_or(detected.name);
    // A model under a name of the table must have the shapes of that row.
    let variant = variants::find(name).unwrap_or(detected);
    checkpoint.validate(&variant.config).map_err(|error| {
        Error::Model(format!(
            "{error} (these weights are `{}`, they cannot be called `{name}`)",
            detected.name
        ))
    })?;
    record::check_name(name)?;
    let same =
        |record: &ModelRecord| record.fingerprint == digest::fingerprint(&checkpoint.tensors);
    // Looked up before the lock too: a read-only store cannot be locked, and its models are usable.
    if let Ok(Some(record)) = store.get(name)
        && same(&record)
    {
        return Ok(InstalledModel {
            record,
            already_installed: true,
        });
    }
    let model_lock = store.lock(name, events)?;
    if let Some(record) = store.get(name)? {
        if same(&record) {
            return Ok(InstalledModel {
                record,
                already_installed: true,
            });
        }
        return Err(Error::Model(format!(
            "{name} is already installed, with other weights (from {}); `dino models rm {name}` first, or choose \
             another name with --as",
            record.source
        )));
    }
    let license = known
        .map_or("unknown", |variant| variant.license)
        .to_owned();
    let record = model_lock.install(&checkpoint, variant, Provenance { source, license })?;
    Ok(InstalledModel {
        record,
        already_installed: false,
    })
}
