//! Loading of a model by name: its record and its tensors on the disk, ready for the backbone to read one by one.

use crate::error::Result;
use crate::model::backbone::variants::Variant;
use crate::model::weights::events::{FetchEvent, FetchEventSink};
use crate::model::weights::hub::Hub;
use crate::model::weights::pull::pull;
use crate::model::weights::record::ModelRecord;
use crate::model::weights::select::{default_model, find_pullable_variant};
use crate::model::weights::store::{Store, StoredTensors};
use crate::system::http::NetworkAccess;

/// An installed model whose backbone can be built.
#[derive(Debug)]
pub struct LoadedModel {
    /// Its record in the store; the fingerprint in it identifies the weights.
    pub record: ModelRecord,
    /// The row of [`VARIANTS`](crate::model::backbone::VARIANTS) with its architecture.
    pub variant: &'static Variant,
    /// Its tensors under canonical names, read from the disk one by one.
    pub tensors: StoredTensors,
}

/// Loads the model `name` (the default when `None`).
///
/// Where it is not installed, `vits14-focus` is downloaded if `access` allows it. Any other model has to be pulled by
/// the user, so that gigabytes are never fetched automatically.
///
/// # Errors
/// If the model is neither installed nor may be fetched, with the command that fetches it; if the download fails; if
/// its files are damaged.
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
