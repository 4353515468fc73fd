//! Installation of a published head from its file, and of the backbone beside it in the file.
//!
//! In: a checkpoint as its publisher has it (safetensors, torch.save, a folder of transformers'). Out: an installed
//! head, and the backbone's record where the file has one that was missing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::backbone::checkpoint::Checkpoint;
use crate::model::backbone::naming;
use crate::model::backbone::variants::{Variant, VariantSource};
use crate::model::head::{Head, file};
use crate::model::head_zoo::candidates::choose_candidate;
use crate::model::head_zoo::convert::{self, RawHeadTensors};
use crate::model::head_zoo::depth_anything;
use crate::model::head_zoo::official;
use crate::model::head_zoo::published::{self, PublishedHead};
use crate::model::head_zoo::store::HeadStore;
use crate::model::weights::config::write_in_store;
use crate::model::weights::{
    self, FetchEvent, FetchEventSink, Provenance, Store, digest, import as checkpoints,
};

/// Result of a pull or an import of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledHead {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Whether the same head was installed before, so that nothing was changed.
    pub already_installed: bool,
}

/// Whether `source` of a model's record is the place of the publisher of `variant`: its repository on the hub, or the
/// file of its name on the publisher's host or a mirror.
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

/// Installs the published head in `path`: the head called `name`, or the one that its tensors and the file's name
/// identify. A backbone in the same file is installed too, if it is missing.
///
/// # Errors
/// If it is no published head or could be several, its configuration contradicts its name, or the store cannot be
/// written.
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
            // A name that contradicts the configuration is an error below, not a reason to choose another head.
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

/// Installs the head `chosen`, whose tensors are `raw`, and the backbone beside it in the file `path`; `origin` is the
/// file's name in messages.
pub(super) fn install_published(
    heads: &HeadStore,
    store: &Store,
    (path, origin): (&Path, &str),
    (raw, chosen): (RawHeadTensors, &PublishedHead),
    events: &mut FetchEventSink<'_>,
) -> Result<InstalledHead> {
    let wrong = |why: String| Error::file(Path::new(origin), why);
    let mut head = raw.into_head(chosen).map_err(wrong)?;
    // Checked first, so that a file whose head cannot be installed leaves no backbone behind.
    file::to_bytes(&head).map_err(wrong)?;
    let fingerprint = install_backbone(store, (path, origin), chosen, events)?;
    if let (PublishedHead::DepthAnything(_), Some(fingerprint)) = (chosen, fingerprint) {
        // Head and encoder were trained together: the head is bound to these very weights.
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

/// The head's tensors in a file or folder; `origin` is its name in messages.
pub(super) fn read(path: &Path, origin: &str) -> Result<RawHeadTensors> {
    let tensors = checkpoints::read_tensors_of(path, origin, convert::is_head_tensor)?;
    convert::recognise(tensors).map_err(|why| Error::file(Path::new(origin), why))
}

/// Installs the backbone in `path` beside the head, if the file has one, and returns its fingerprint. `origin` is the
/// file's name in messages.
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

pub(super) fn install(heads: &HeadStore, head: &Head, replaces: bool) -> Result<InstalledHead> {
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
        already_installed: already,
    })
}
