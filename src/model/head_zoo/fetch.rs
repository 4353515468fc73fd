//! Published heads come into the store: from their publisher's host, from the Hugging Face hub, or from a file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::backbone::checkpoint::Checkpoint;
use crate::model::backbone::naming;
use crate::model::backbone::variants::{Variant, VariantSource};
use crate::model::head::{Head, file};
use crate::model::head_zoo::convert::{self, RawHeadTensors};
use crate::model::head_zoo::depth_anything::{self, DepthAnythingHead};
use crate::model::head_zoo::official::{self, OfficialHead};
use crate::model::head_zoo::published::{self, PublishedHead};
use crate::model::head_zoo::{HeadStore, REG_OR_PLAIN, builtin};
use crate::model::weights::config::write_in_store;
use crate::model::weights::{
    self, FetchEvent, FetchEventSink, Hub, Provenance, Store, digest, hub, import as checkpoints,
};
use crate::system::environment::EnvVariables;
use crate::system::http::NetworkAccess;
use crate::terminal::suggest;

/// Where the publisher keeps heads and backbones, unless `DINO_HEADS_URL` names a mirror.
const PUBLISHER_URL: &str = "https://dl.fbaipublicfiles.com/dinov2";

const URL_VARIABLE: &str = "DINO_HEADS_URL";

/// What takes a head's file.
const IMPORT_COMMAND: &str = "dino heads import FILE";

/// What takes a head's file whatever that is called: several have the same tensors.
fn import_command(name: &str) -> String {
    format!("{IMPORT_COMMAND} --as {name}")
}

/// The published head in a repository of the Hugging Face hub, told by its name as `dpt-dinov2-small-nyu`.
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

/// A head that is installed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledHead {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Whether it was there before.
    pub was_installed: bool,
}

/// The publisher's host as the environment describes it.
///
/// # Errors
/// If `DINO_HEADS_URL` is no address.
pub fn host(access: NetworkAccess) -> Result<Hub> {
    Hub::plain_host(URL_VARIABLE, PUBLISHER_URL, IMPORT_COMMAND, access)
}

/// The address that [`host`] has, of other variables.
///
/// # Errors
/// As there.
pub fn address(variables: &EnvVariables) -> Result<String> {
    hub::address(variables, URL_VARIABLE, PUBLISHER_URL)
}

/// Whether `source`, as a record names it, is where the publisher of `variant` has it: the hub's repository, or a file of
/// its name on the publisher's host or a mirror of that.
pub fn is_of_publisher(source: &str, variant: &Variant) -> bool {
    let is_address = source.starts_with("https://") || source.starts_with("http://");
    match variant.source {
        VariantSource::Hub(repo) if source.starts_with(&format!("{repo}/")) => true,
        VariantSource::Hub(_) => {
            is_address && source.ends_with(&official::backbone_path(variant.name))
        }
        VariantSource::Wheel { .. } => true,
    }
}

/// Fetches a published head.
///
/// # Errors
/// If it cannot be fetched, or is not what its name says.
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
            was_installed: true,
        })
    };
    // Before the lock too: what is there is used in a store that cannot be written.
    if path.exists() {
        return there(name, path);
    }
    let remote = official.remote_path();
    host.check_file(&remote)?;
    // Another program may be fetching the same.
    let slot = store.lock(&name, events)?;
    if path.exists() {
        return there(name, path);
    }
    let partial = slot.partial();
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
    // Whole as it came: there is nothing to go on with, whatever it is.
    let _ = fs::remove_file(&partial);
    install(heads, &head?, false)
}

/// Fetches a backbone from the publisher of the heads if it is not installed. Says whether it did.
///
/// # Errors
/// If it cannot be fetched, or is not what its name says.
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
    let installed = weights::pull_with(store, variant, events, |slot, events| {
        let partial = slot.partial();
        let source = format!("{}/{remote}", host.endpoint);
        if !host.download_file(&remote, &partial, events)? {
            return Err(Error::Download(format!(
                "{source}: there is no such file (404); `dino models pull {name}` fetches the backbone from elsewhere"
            )));
        }
        let imported = checkpoints::read(&partial, &remote);
        // Whole as it came: there is nothing to go on with, whatever it is.
        let _ = fs::remove_file(&partial);
        Ok((imported?.checkpoint, source))
    })?;
    Ok(!installed.was_installed)
}

/// Installs the published head in `path`: as `name`, or as what its tensors and the file's name tell. A file with the
/// backbone in it too installs that as well, if it is missing.
///
/// # Errors
/// If it is no published head, or could be several.
pub fn import(
    heads: &HeadStore,
    store: &Store,
    path: &Path,
    name: Option<&str>,
    events: &mut FetchEventSink<'_>,
) -> Result<InstalledHead> {
    let hint = path
        .canonicalize()
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string();
    let origin = path.display().to_string();
    let raw = read(path, &origin)?;
    let scene = depth_anything::read_scene(path);
    let fits = |head: &PublishedHead| match (head, scene) {
        (PublishedHead::DepthAnything(head), Some(scene)) => head.scene == scene,
        _ => true,
    };
    let chosen = match name {
        Some(name) => published::get(name)?,
        None => {
            let mut candidates = raw.candidates();
            let is_called = |head: &PublishedHead| {
                choose_candidate(&[*head, *head], path, &hint).is_ok_and(|chosen| chosen == *head)
            };
            // A name that contradicts its configuration is told below, not passed over.
            if !candidates.iter().any(is_called) {
                candidates.retain(fits);
            }
            choose_candidate(&candidates, path, &hint)?
        }
    };
    if !fits(&chosen) {
        let scene = scene.map_or("", depth_anything::DepthAnythingScene::description);
        let why = format!(
            "would be {}, but config.json beside it says that its head tells {scene}; say which is right: rename the one, or \
             remove the other",
            chosen.name()
        );
        return Err(Error::file(path, why));
    }
    install_published(heads, store, (path, &origin), (raw, &chosen), events)
}

/// Installs the head `chosen`, whose tensors are `raw`, and the backbone beside it in the file, which messages call by the
/// second name.
fn install_published(
    heads: &HeadStore,
    store: &Store,
    (path, origin): (&Path, &str),
    (raw, chosen): (RawHeadTensors, &PublishedHead),
    events: &mut FetchEventSink<'_>,
) -> Result<InstalledHead> {
    let wrong = |why: String| Error::file(Path::new(origin), why);
    let mut head = raw.into_head(chosen).map_err(wrong)?;
    // Nothing is installed of a file whose head cannot be.
    file::to_bytes(&head).map_err(wrong)?;
    let fingerprint = install_backbone(store, (path, origin), chosen, events)?;
    if let (PublishedHead::DepthAnything(_), Some(fingerprint)) = (chosen, fingerprint) {
        // They were trained together: other weights of this name are not what it reads.
        head.meta.fingerprint = fingerprint;
    } else if let PublishedHead::DepthAnything(_) = chosen {
        let backbone = chosen.backbone();
        events(FetchEvent::Warning(&format!(
            "{origin} has no encoder beside the head, which reads none but the one that it was trained with; it will run on \
             whatever is installed as {backbone}"
        )))?;
    }
    install(heads, &head, true)
}

/// The repository of the Hugging Face hub that the head called `name` is in, if its publisher has no other place for it.
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
            was_installed: true,
        });
    }
    let hub = match head_in_repository(repo) {
        Some(name) => hub.with_import_command(&import_command(&name)),
        None => hub.with_import_command(IMPORT_COMMAND),
    };
    if FILES.iter().all(|file| hub.cached(repo, file).is_none()) {
        hub.check(repo, FILES[0])?;
    }
    let slot = store.lock(&repo.replace('/', "-").to_ascii_lowercase(), events)?;
    let partial = slot.partial();
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
            // Whole as it came: there is nothing to go on with, whatever it is.
            let _ = fs::remove_file(&partial);
            return installed;
        }
    }
    Err(Error::Download(format!(
        "{}/{repo} has no weights (404); check HF_ENDPOINT, and HF_TOKEN if the repository is private",
        hub.endpoint
    )))
}

/// Which of `candidates` a file is that is called `hint`: the one whose published name it has, else the only one whose
/// data set it names.
fn choose_candidate(
    candidates: &[PublishedHead],
    path: &Path,
    hint: &str,
) -> Result<PublishedHead> {
    let called = [hint.to_owned(), path.display().to_string()];
    let exact = |head: &&PublishedHead| match head {
        PublishedHead::Meta(head) => {
            let file = head.remote_path();
            Path::new(&file).file_name() == path.file_name()
        }
        PublishedHead::DepthAnything(head) => called
            .iter()
            .any(|name| DepthAnythingHead::from_path(name) == Some(*head)),
    };
    if let Some(head) = candidates.iter().find(exact) {
        return Ok(*head);
    }
    if let [head] = candidates {
        return Ok(*head);
    }
    let hint = hint.to_ascii_lowercase();
    let last_two: String = hint
        .rsplit(['/', '\\'])
        .take(2)
        .collect::<Vec<_>>()
        .join("/");
    let named: Vec<&PublishedHead> = candidates
        .iter()
        .filter(|head| match head {
            PublishedHead::Meta(head) => last_two.contains(head.dataset.name()),
            // Of these, names are all that tells depths in metres from such that are none: only whole ones count.
            PublishedHead::DepthAnything(_) => false,
        })
        .collect();
    if let [head] = named.as_slice() {
        return Ok(**head);
    }
    if candidates.is_empty() {
        let why = "has the tensors of a head, but the sizes of none that was published";
        return Err(Error::file(path, why));
    }
    let names: Vec<String> = candidates.iter().map(PublishedHead::name).collect();
    Err(Error::file(
        path,
        format!(
            "could be {}: their tensors are alike; say which with --as NAME",
            names.join(" or ")
        ),
    ))
}

/// The head's tensors in a file or folder; `origin` is what messages call it.
fn read(path: &Path, origin: &str) -> Result<RawHeadTensors> {
    let tensors = checkpoints::read_tensors_of(path, origin, convert::is_head_tensor)?;
    convert::recognise(tensors).map_err(|why| Error::file(Path::new(origin), why))
}

/// Installs the backbone that `path`, which messages call `origin`, has beside the head; its fingerprint, if it has one.
fn install_backbone(
    store: &Store,
    (path, origin): (&Path, &str),
    head: &PublishedHead,
    events: &mut FetchEventSink<'_>,
) -> Result<Option<String>> {
    let wanted = |name: &str| {
        !convert::is_head_tensor(name)
            && naming::map_key(name).is_some_and(|place| place != naming::KeyMapping::Ignored)
    };
    let tensors = checkpoints::read_tensors_of(path, origin, wanted)?;
    if tensors.is_empty() {
        return Ok(None);
    }
    let backbone = head.backbone();
    let checkpoint = Checkpoint::from_raw(origin, tensors)?;
    let variant = weights::find_variant(&backbone)?;
    checkpoint.validate(&variant.config)?;
    let fingerprint = digest::fingerprint(&checkpoint.tensors);
    if let Some(record) = store.get(&backbone)? {
        match (record.fingerprint == fingerprint, head) {
            (true, _) => {}
            (false, PublishedHead::Meta(_)) => events(FetchEvent::Note(&format!(
                "{backbone} is installed already, with other weights than those beside this head; it is kept"
            )))?,
            (false, PublishedHead::DepthAnything(_)) => {
                let why = format!(
                    "has another encoder than {backbone}, which is installed already (from {}), and its head reads no \
                     other; `dino models rm {backbone}` first",
                    record.source
                );
                return Err(Error::file(Path::new(origin), why));
            }
        }
        return Ok(Some(fingerprint));
    }
    let is_published = matches!(head, PublishedHead::DepthAnything(_))
        || is_of_publisher(origin, variant)
        || origin.starts_with("facebook/");
    let from = Provenance {
        source: origin.to_owned(),
        license: match is_published {
            true => variant.license.to_owned(),
            false => "unknown".to_owned(),
        },
    };
    store.install(&backbone, &checkpoint, variant, from)?;
    if !is_published {
        events(FetchEvent::Warning(&format!(
            "{origin} has a backbone beside the head, which may have been trained on with it; it is installed as {backbone} \
             all the same, since the head was made for that (`dino models rm {backbone}` and `dino setup` put Meta's in its \
             place)"
        )))?;
    }
    events(FetchEvent::Note(&format!(
        "the backbone {backbone} came with it and is installed too"
    )))?;
    Ok(Some(fingerprint))
}

fn install(heads: &HeadStore, head: &Head, replaces: bool) -> Result<InstalledHead> {
    let name = head.meta.name.clone();
    let path = heads.path(&name)?;
    let bytes = file::to_bytes(head).map_err(|why| Error::Model(format!("{name}: {why}")))?;
    let already = path.exists() && fs::read(&path).is_ok_and(|old| old == bytes);
    if path.exists() && !already && !replaces {
        return Err(Error::Usage(format!(
            "a head called {name} is installed already; `dino heads rm {name}` first"
        )));
    }
    write_in_store(&path, &bytes)?;
    Ok(InstalledHead {
        name,
        path,
        was_installed: already,
    })
}

/// The heads that `words` of a command line mean.
///
/// # Errors
/// If a word means none, with what there is.
pub fn resolve_names(words: &[String], model: &str) -> Result<Vec<OfficialHead>> {
    if !official::PLAIN_BACKBONES.contains(&model) && !official::REGISTER_BACKBONES.contains(&model)
    {
        return Err(Error::Usage(format!(
            "no heads were published for {model}; expected {REG_OR_PLAIN}"
        )));
    }
    let mut all: Vec<OfficialHead> = Vec::new();
    for word in words {
        let found = official::matching(word, model);
        if found.is_empty() {
            let groups: Vec<String> = official::all()
                .filter(|head| head.backbone == model)
                .map(|head| head.group())
                .collect();
            let others: Vec<String> = depth_anything::all().map(|head| head.name()).collect();
            let names = groups.iter().chain(&others);
            let near = suggest::did_you_mean(word, names.map(String::as_str));
            if builtin::all().any(|(name, _)| name == word) {
                return Err(Error::Usage(format!(
                    "`{word}` is inside the program and need not be pulled; --head {word} uses it"
                )));
            }
            return Err(Error::Usage(format!(
                "`{word}` is no published head of {model}{near}; there are {}, and official for all of them; da2-small and its like \
                 are Depth Anything's",
                groups.join(", ")
            )));
        }
        for head in found {
            if !all.contains(&head) {
                all.push(head);
            }
        }
    }
    Ok(all)
}
