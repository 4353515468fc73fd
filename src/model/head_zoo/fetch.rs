//! Download of published heads and their backbones: from the publisher's host, or from the Hugging Face hub.
//!
//! `import` installs what was fetched. The publisher's host is Meta's, unless `DINO_HEADS_URL` names a mirror.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::head_zoo::candidates::choose_candidate;
use crate::model::head_zoo::depth_anything::{self, DepthAnythingHead};
use crate::model::head_zoo::import::{install, install_published, read};
use crate::model::head_zoo::official::{self, OfficialHead};
use crate::model::head_zoo::published::PublishedHead;
use crate::model::head_zoo::store::HeadStore;
use crate::model::weights::{self, FetchEventSink, Hub, Store, hub, import as checkpoints};
use crate::system::environment::EnvVariables;
use crate::system::http::NetworkAccess;

pub use crate::model::head_zoo::candidates::resolve_names;
pub use crate::model::head_zoo::import::{InstalledHead, import, is_of_publisher};

/// Meta's host of heads and backbones.
const PUBLISHER_URL: &str = "https://dl.fbaipublicfiles.com/dinov2";

const URL_VARIABLE: &str = "DINO_HEADS_URL";

/// The command that installs a head's file, for messages.
const IMPORT_COMMAND: &str = "dino heads import FILE";

/// The command that installs a head's file as `name`: several heads have the same tensors.
fn import_command(name: &str) -> String {
    format!("{IMPORT_COMMAND} --as {name}")
}

/// The published head in a repository of the Hugging Face hub, recognised by the repository's name, such as
/// `dpt-dinov2-small-nyu`.
fn head_in_repository(repo: &str) -> Option<String> {
    if let Some(head) = DepthAnythingHead::from_path(repo) {
        return Some(head.name());
    }
    let name = repo.rsplit('/').next()?.to_ascii_lowercase();
    let parts: Vec<&str> = name.split('-').collect();
    let ["dpt", "dinov2", size, data] = parts.as_slice() else {
        return None;
    };
    let backbone = match *size {
        "small" => "vits14",
        "base" => "vitb14",
        "large" => "vitl14",
        "giant" => "vitg14",
        _ => return None,
    };
    let name = format!("{data}-dpt-{backbone}");
    official::find(&name).map(|_| name)
}

/// The settings of the publisher's host, from environment variables.
///
/// # Errors
/// If `DINO_HEADS_URL` is no valid URL.
pub fn host(access: NetworkAccess) -> Result<Hub> {
    Hub::plain_host(URL_VARIABLE, PUBLISHER_URL, IMPORT_COMMAND, access)
}

/// The URL of [`host`] by the environment `variables`, without a slash at the end.
///
/// # Errors
/// If `DINO_HEADS_URL` is no valid URL.
pub fn address(variables: &EnvVariables) -> Result<String> {
    hub::address(variables, URL_VARIABLE, PUBLISHER_URL)
}

/// Fetches and installs one of Meta's heads, unless it is installed.
///
/// # Errors
/// If it cannot be fetched, its tensors are those of another head, or the store cannot be written.
pub fn pull(
    heads: &HeadStore,
    store: &Store,
    official: &OfficialHead,
    host: &Hub,
    events: &mut FetchEventSink<'_>,
) -> Result<InstalledHead> {
    let name = official.name();
    let host = &host.with_import_command(&import_command(&name));
    let path = heads.path(&name)?;
    let there = |name: String, path: PathBuf| {
        heads
            .get(&name)
            .map_err(|error| Error::Model(format!("{error}; `dino heads rm {name}` removes it")))?;
        Ok(InstalledHead {
            name,
            path,
            already_installed: true,
        })
    };
    // Looked up before the lock too: a read-only store cannot be locked, and its heads are usable.
    if path.exists() {
        return there(name, path);
    }
    let remote = official.remote_path();
    host.check_file(&remote)?;
    // Another run may be fetching the same file.
    let model_lock = store.lock(&name, events)?;
    if path.exists() {
        return there(name, path);
    }
    let partial = model_lock.partial();
    if !host.download_file(&remote, &partial, events)? {
        return Err(Error::Download(format!(
            "{}/{remote}: there is no such file (404); check DINO_HEADS_URL",
            host.endpoint
        )));
    }
    let head = read(&partial, &remote).and_then(|raw| {
        raw.into_head(&PublishedHead::Meta(*official))
            .map_err(|why| Error::file(Path::new(&remote), why))
    });
    // The file is complete, so there is nothing to resume.
    let _ = fs::remove_file(&partial);
    install(heads, &head?, false)
}

/// Fetches a backbone from the publisher of the heads if it is not installed, and returns whether it did.
///
/// # Errors
/// If it cannot be fetched, its tensors are those of another backbone, or the store cannot be written.
pub fn pull_backbone(
    store: &Store,
    name: &str,
    host: &Hub,
    events: &mut FetchEventSink<'_>,
) -> Result<bool> {
    if store.get(name)?.is_some() {
        return Ok(false);
    }
    let variant = weights::find_variant(name)?;
    let host = host.with_import_command("dino models import FILE");
    let remote = official::backbone_path(name);
    host.check_file(&remote)?;
    let installed = weights::pull_with(store, variant, events, |model_lock, events| {
        let partial = model_lock.partial();
        let source = format!("{}/{remote}", host.endpoint);
        if !host.download_file(&remote, &partial, events)? {
            return Err(Error::Download(format!(
                "{source}: there is no such file (404); `dino models pull {name}` fetches the backbone from elsewhere"
            )));
        }
        let imported = checkpoints::read(&partial, &remote);
        // The file is complete, so there is nothing to resume.
        let _ = fs::remove_file(&partial);
        Ok((imported?.checkpoint, source))
    })?;
    Ok(!installed.already_installed)
}

/// The repository of the Hugging Face hub that the head called `name` is fetched from; `None` for Meta's heads, which
/// have a host of their own.
pub fn repository_of(name: &str) -> Option<String> {
    depth_anything::find(name).map(|head| head.repository())
}

/// Installs a head, and the backbone beside it, from a repository of the Hugging Face hub such as
/// `facebook/dpt-dinov2-small-nyu`.
///
/// # Errors
/// As [`import`], or if it cannot be fetched.
pub fn pull_repository(
    heads: &HeadStore,
    store: &Store,
    repo: &str,
    hub: &Hub,
    events: &mut FetchEventSink<'_>,
) -> Result<InstalledHead> {
    const FILES: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
    if let Some(head) = DepthAnythingHead::from_path(repo)
        && let (name, backbone) = (head.name(), head.backbone())
        && let path = heads.path(&name)?
        && path.exists()
        && matches!(store.get(&backbone), Ok(Some(_)))
    {
        heads.get(&name)?;
        return Ok(InstalledHead {
            name,
            path,
            already_installed: true,
        });
    }
    let hub = match head_in_repository(repo) {
        Some(name) => hub.with_import_command(&import_command(&name)),
        None => hub.with_import_command(IMPORT_COMMAND),
    };
    if FILES.iter().all(|file| hub.cached(repo, file).is_none()) {
        hub.check(repo, FILES[0])?;
    }
    let model_lock = store.lock(&repo.replace('/', "-").to_ascii_lowercase(), events)?;
    let partial = model_lock.partial();
    for file in FILES {
        let cached = hub.cached(repo, file);
        let found = match &cached {
            Some(_) => true,
            None => hub.download(repo, file, &partial, events)?,
        };
        if found {
            let path = cached.as_ref().unwrap_or(&partial);
            let installed = read(path, repo).and_then(|raw| {
                let chosen = choose_candidate(&raw.candidates(), Path::new(repo), repo)?;
                let origin = format!("{repo}/{file}");
                install_published(heads, store, (path, &origin), (raw, &chosen), events)
            });
            // The file is complete, so there is nothing to resume.
            let _ = fs::remove_file(&partial);
            return installed;
        }
    }
    Err(Error::Download(format!(
        "{}/{repo} has no weights (404); check HF_ENDPOINT, and HF_TOKEN if the repository is private",
        hub.endpoint
    )))
}
