//! Published heads come into the store: from their publisher's host, from the Hugging Face hub, or from a file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::backbone::checkpoint::Checkpoint;
use crate::model::backbone::naming;
use crate::model::backbone::variants::{Source, Variant};
use crate::model::head::{Head, file};
use crate::model::head_zoo::builtin;
use crate::model::head_zoo::convert::{self, Raw};
use crate::model::head_zoo::depth_anything::{self, DepthAnything};
use crate::model::head_zoo::official::{self, Official};
use crate::model::head_zoo::published::{self, Published};
use crate::model::head_zoo::{Heads, REG_OR_PLAIN};
use crate::model::weights::config::write_in_store;
use crate::model::weights::import as checkpoints;
use crate::model::weights::{self, Event, Events, Hub, Provenance, Store, digest, hub};
use crate::system::environment::Variables;
use crate::system::http::Access;
use crate::terminal::suggest;

/// Where the publisher keeps heads and backbones, unless `DINO_HEADS_URL` names a mirror.
const HOST: &str = "https://dl.fbaipublicfiles.com/dinov2";

const ADDRESS: &str = "DINO_HEADS_URL";

/// What takes a head's file.
const IMPORT: &str = "dino heads import FILE";

/// What takes a head's file whatever that is called: several have the same tensors.
fn import_as(name: &str) -> String {
    format!("{IMPORT} --as {name}")
}

/// The published head in a repository of the Hugging Face hub, told by its name as `dpt-dinov2-small-nyu`.
fn in_repository(repo: &str) -> Option<String> {
    if let Some(head) = DepthAnything::named_in(repo) {
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
pub struct Installed {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Whether it was there before.
    pub already: bool,
}

/// The publisher's host as the environment describes it.
///
/// # Errors
/// If `DINO_HEADS_URL` is no address.
pub fn host(access: Access) -> Result<Hub> {
    Hub::of_files(ADDRESS, HOST, IMPORT, access)
}

/// The address that [`host`] has, of other variables.
///
/// # Errors
/// As there.
pub fn address(variables: &Variables) -> Result<String> {
    hub::address(variables, ADDRESS, HOST)
}

/// Whether `source`, as a record names it, is where the publisher of `variant` has it: the hub's repository, or a file of
/// its name on the publisher's host or a mirror of that.
pub fn is_of_publisher(source: &str, variant: &Variant) -> bool {
    let is_address = source.starts_with("https://") || source.starts_with("http://");
    match variant.source {
        Source::Hub(repo) if source.starts_with(&format!("{repo}/")) => true,
        Source::Hub(_) => is_address && source.ends_with(&official::backbone_path(variant.name)),
        Source::Wheel { .. } => true,
    }
}

/// Fetches a published head.
///
/// # Errors
/// If it cannot be fetched, or is not what its name says.
pub fn pull(
    heads: &Heads,
    store: &Store,
    official: &Official,
    host: &Hub,
    events: &mut Events<'_>,
) -> Result<Installed> {
    let name = official.name();
    let host = &host.with_instead(&import_as(&name));
    let path = heads.path(&name)?;
    let there = |name: String, path: PathBuf| {
        heads
            .get(&name)
            .map_err(|error| Error::Model(format!("{error}; `dino heads rm {name}` removes it")))?;
        Ok(Installed {
            name,
            path,
            already: true,
        })
    };
    // Before the lock too: what is there is used in a store that cannot be written.
    if path.exists() {
        return there(name, path);
    }
    let remote = official.path();
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
        raw.into_head(&Published::Meta(*official))
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
    events: &mut Events<'_>,
) -> Result<bool> {
    if store.get(name)?.is_some() {
        return Ok(false);
    }
    let variant = weights::known(name)?;
    let host = host.with_instead("dino models import FILE");
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
    Ok(!installed.already)
}

/// Installs the published head in `path`: as `name`, or as what its tensors and the file's name tell. A file with the
/// backbone in it too installs that as well, if it is missing.
///
/// # Errors
/// If it is no published head, or could be several.
pub fn import(
    heads: &Heads,
    store: &Store,
    path: &Path,
    name: Option<&str>,
    events: &mut Events<'_>,
) -> Result<Installed> {
    let hint = path
        .canonicalize()
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string();
    let origin = path.display().to_string();
    let raw = read(path, &origin)?;
    let scene = depth_anything::scene_beside(path);
    let fits = |head: &Published| match (head, scene) {
        (Published::DepthAnything(head), Some(scene)) => head.scene == scene,
        _ => true,
    };
    let chosen = match name {
        Some(name) => published::named(name)?,
        None => {
            let mut candidates = raw.candidates();
            let is_called = |head: &Published| {
                choose(&[*head, *head], path, &hint).is_ok_and(|chosen| chosen == *head)
            };
            // A name that contradicts its configuration is told below, not passed over.
            if !candidates.iter().any(is_called) {
                candidates.retain(fits);
            }
            choose(&candidates, path, &hint)?
        }
    };
    if !fits(&chosen) {
        let scene = scene.map_or("", depth_anything::Scene::words);
        let why = format!(
            "would be {}, but config.json beside it says that its head tells {scene}; say which is right: rename the one, or \
             remove the other",
            chosen.name()
        );
        return Err(Error::file(path, why));
    }
    take(heads, store, (path, &origin), (raw, &chosen), events)
}

/// Installs the head `chosen`, whose tensors are `raw`, and the backbone beside it in the file, which messages call by the
/// second name.
fn take(
    heads: &Heads,
    store: &Store,
    (path, origin): (&Path, &str),
    (raw, chosen): (Raw, &Published),
    events: &mut Events<'_>,
) -> Result<Installed> {
    let wrong = |why: String| Error::file(Path::new(origin), why);
    let mut head = raw.into_head(chosen).map_err(wrong)?;
    // Nothing is installed of a file whose head cannot be.
    file::to_bytes(&head).map_err(wrong)?;
    let fingerprint = with_backbone(store, (path, origin), chosen, events)?;
    if let (Published::DepthAnything(_), Some(fingerprint)) = (chosen, fingerprint) {
        // They were trained together: other weights of this name are not what it reads.
        head.meta.fingerprint = fingerprint;
    } else if let Published::DepthAnything(_) = chosen {
        let backbone = chosen.backbone();
        events(Event::Warning(&format!(
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
    heads: &Heads,
    store: &Store,
    repo: &str,
    hub: &Hub,
    events: &mut Events<'_>,
) -> Result<Installed> {
    const FILES: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
    if let Some(head) = DepthAnything::named_in(repo)
        && let (name, backbone) = (head.name(), head.backbone())
        && let path = heads.path(&name)?
        && path.exists()
        && matches!(store.get(&backbone), Ok(Some(_)))
    {
        heads.get(&name)?;
        return Ok(Installed {
            name,
            path,
            already: true,
        });
    }
    let hub = match in_repository(repo) {
        Some(name) => hub.with_instead(&import_as(&name)),
        None => hub.with_instead(IMPORT),
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
                let chosen = choose(&raw.candidates(), Path::new(repo), repo)?;
                let origin = format!("{repo}/{file}");
                take(heads, store, (path, &origin), (raw, &chosen), events)
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
fn choose(candidates: &[Published], path: &Path, hint: &str) -> Result<Published> {
    let called = [hint.to_owned(), path.display().to_string()];
    let exact = |head: &&Published| match head {
        Published::Meta(head) => {
            let file = head.path();
            Path::new(&file).file_name() == path.file_name()
        }
        Published::DepthAnything(head) => called
            .iter()
            .any(|name| DepthAnything::named_in(name) == Some(*head)),
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
    let named: Vec<&Published> = candidates
        .iter()
        .filter(|head| match head {
            Published::Meta(head) => last_two.contains(head.data.word()),
            // Of these, names are all that tells depths in metres from such that are none: only whole ones count.
            Published::DepthAnything(_) => false,
        })
        .collect();
    if let [head] = named.as_slice() {
        return Ok(**head);
    }
    if candidates.is_empty() {
        let why = "has the tensors of a head, but the sizes of none that was published";
        return Err(Error::file(path, why));
    }
    let names: Vec<String> = candidates.iter().map(Published::name).collect();
    Err(Error::file(
        path,
        format!(
            "could be {}: their tensors are alike; say which with --as NAME",
            names.join(" or ")
        ),
    ))
}

/// The head's tensors in a file or folder; `origin` is what messages call it.
fn read(path: &Path, origin: &str) -> Result<Raw> {
    let tensors = checkpoints::read_tensors_of(path, origin, convert::is_wanted)?;
    convert::recognise(tensors).map_err(|why| Error::file(Path::new(origin), why))
}

/// Installs the backbone that `path`, which messages call `origin`, has beside the head; its fingerprint, if it has one.
fn with_backbone(
    store: &Store,
    (path, origin): (&Path, &str),
    head: &Published,
    events: &mut Events<'_>,
) -> Result<Option<String>> {
    let wanted = |name: &str| {
        !convert::is_wanted(name)
            && naming::place(name).is_some_and(|place| place != naming::Place::Ignored)
    };
    let tensors = checkpoints::read_tensors_of(path, origin, wanted)?;
    if tensors.is_empty() {
        return Ok(None);
    }
    let backbone = head.backbone();
    let checkpoint = Checkpoint::from_raw(origin, tensors)?;
    let variant = weights::known(&backbone)?;
    checkpoint.validate(&variant.config)?;
    let fingerprint = digest::fingerprint(&checkpoint.tensors);
    if let Some(record) = store.get(&backbone)? {
        match (record.fingerprint == fingerprint, head) {
            (true, _) => {}
            (false, Published::Meta(_)) => events(Event::Note(&format!(
                "{backbone} is installed already, with other weights than those beside this head; it is kept"
            )))?,
            (false, Published::DepthAnything(_)) => {
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
    let is_published = matches!(head, Published::DepthAnything(_))
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
        events(Event::Warning(&format!(
            "{origin} has a backbone beside the head, which may have been trained on with it; it is installed as {backbone} \
             all the same, since the head was made for that (`dino models rm {backbone}` and `dino setup` put Meta's in its \
             place)"
        )))?;
    }
    events(Event::Note(&format!(
        "the backbone {backbone} came with it and is installed too"
    )))?;
    Ok(Some(fingerprint))
}

fn install(heads: &Heads, head: &Head, replaces: bool) -> Result<Installed> {
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
    Ok(Installed {
        name,
        path,
        already,
    })
}

/// The heads that `words` of a command line mean.
///
/// # Errors
/// If a word means none, with what there is.
pub fn meant(words: &[String], model: &str) -> Result<Vec<Official>> {
    if !official::PLAIN.contains(&model) && !official::REG.contains(&model) {
        return Err(Error::Usage(format!(
            "no heads were published for {model}; expected {REG_OR_PLAIN}"
        )));
    }
    let mut all: Vec<Official> = Vec::new();
    for word in words {
        let found = official::matching(word, model);
        if found.is_empty() {
            let groups: Vec<String> = official::all()
                .filter(|head| head.backbone == model)
                .map(|head| head.group())
                .collect();
            let others: Vec<String> = depth_anything::all().map(|head| head.name()).collect();
            let names = groups.iter().chain(&others);
            let near = suggest::question(word, names.map(String::as_str));
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
