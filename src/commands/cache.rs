//! `dino cache`: the cache of training features on disk is listed, pruned and emptied.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dino::learn::train::cache::{CacheEntry, CacheFolder, NO_SET, RemovedFeatures};
use dino::model::weights::Store;
use dino::system::memory::format_bytes;
use dino::terminal::console::Console;
use dino::{Error, Result};
use serde_json::json;

use crate::cli::{CacheCommand, CacheFolderArgs};

/// The cache folder: `named` (`--cache`), else the one in the model store.
pub fn cache_folder(named: Option<&Path>) -> Result<CacheFolder> {
    match named {
        Some(folder) => Ok(CacheFolder::at(folder)),
        None => Ok(cache_folder_of(&Store::open()?)),
    }
}

/// The cache folder in a model store: `cache/features`.
pub fn cache_folder_of(store: &Store) -> CacheFolder {
    CacheFolder::at(store.root().join("cache").join("features"))
}

/// Runs the command.
pub fn run(command: &CacheCommand, console: &Console) -> Result<u8> {
    let at = |place: &CacheFolderArgs| cache_folder(place.cache.as_deref());
    match command {
        CacheCommand::List { place, json } => list(&at(place)?, *json, console),
        CacheCommand::Prune {
            place,
            older_than,
            to,
        } => {
            let before = older_than.and_then(|time| SystemTime::now().checked_sub(time));
            let freed = at(place)?.prune(before, *to, |_| false)?;
            report_freed(freed, console);
            Ok(0)
        }
        CacheCommand::Rm { place, names } => remove(&at(place)?, names, console),
    }
}

fn list(cache: &CacheFolder, json: bool, console: &Console) -> Result<u8> {
    let names = ModelNames::new();
    let holdings = cache.list()?;
    let name_of = |holding: &CacheEntry| {
        let set = holding.set.as_deref().unwrap_or(NO_SET);
        format!("{}/{set}", names.of(&holding.model))
    };
    let width = holdings
        .iter()
        .map(|holding| name_of(holding).chars().count());
    let width = width.max().unwrap_or(0);
    for holding in &holdings {
        let name = name_of(holding);
        let CacheEntry {
            photos,
            bytes,
            last_used: used,
            ..
        } = holding;
        let line = match json {
            true => json!({
                "name": name,
                "model": names.of(&holding.model),
                "fingerprint": holding.model,
                "set": holding.set,
                "photos": photos,
                "bytes": bytes,
                "last_used": used.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            })
            .to_string(),
            false => format!(
                "{name:width$}  {:>9}  {photos:>6} photos  last used {}",
                format_bytes(*bytes),
                format_age(SystemTime::now().duration_since(*used).unwrap_or_default())
            ),
        };
        console.out(&line)?;
    }
    let limit = cache.default_limit().map_or(String::new(), |limit| {
        format!(
            "; training keeps up to {} (--cache-limit)",
            format_bytes(limit)
        )
    });
    console.note(format_args!(
        "{} in {}{limit}",
        format_bytes(cache.bytes()?),
        cache.path().display()
    ));
    Ok(0)
}

fn remove(cache: &CacheFolder, names: &[String], console: &Console) -> Result<u8> {
    let known = ModelNames::new();
    for name in names {
        // The sets' names may have `/` in them, the models' have none.
        let (model, set) = match name.split_once('/') {
            Some((model, set)) => (model, Some(set)),
            None => (name.as_str(), None),
        };
        let mut freed = None;
        for model in known.folders(model) {
            freed = freed.or(cache.remove(&model, set)?);
        }
        match freed {
            Some(freed) => report_freed(freed, console),
            None => {
                return Err(Error::Usage(format!(
                    "{name}: no such features; `dino cache list` names those that there are"
                )));
            }
        }
    }
    Ok(0)
}

fn report_freed(freed: RemovedFeatures, console: &Console) {
    console.note(format_args!(
        "features of {} photos removed, {}",
        freed.photos,
        format_bytes(freed.bytes)
    ));
}

/// Names of models with the folders of their features, which are named by fingerprint.
struct ModelNames(Vec<(String, String)>);

impl ModelNames {
    /// Those of the installed models.
    fn new() -> Self {
        let models = Store::open().and_then(|store| store.list());
        let records = models.into_iter().flatten();
        let records = records.filter_map(|(name, record)| Some((record.ok()?.fingerprint, name)));
        ModelNames(records.collect())
    }

    fn of<'n>(&'n self, folder: &'n str) -> &'n str {
        let known = self
            .0
            .iter()
            .find(|(fingerprint, _)| fingerprint.starts_with(folder));
        known.map_or(folder, |(_, name)| name)
    }

    /// The folders that a model name may stand for.
    fn folders(&self, name: &str) -> Vec<String> {
        let known = self.0.iter().filter(|(_, own)| own == name);
        let known =
            known.map(|(fingerprint, _)| fingerprint[..16.min(fingerprint.len())].to_owned());
        known.chain([name.to_owned()]).collect()
    }
}

/// Time since the last use, as `3 days ago`.
fn format_age(time: Duration) -> String {
    let hours = time.as_secs() / 3600;
    let of = |count: u64, what: &str| match count {
        1 => format!("1 {what} ago"),
        _ => format!("{count} {what}s ago"),
    };
    match hours {
        0 => "within the hour".to_owned(),
        1..48 => of(hours, "hour"),
        _ => of(hours / 24, "day"),
    }
}
