//! `--features`: a dataset of `dino features` in the backbone's place; heads run, and no backbone does.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::Path;

use dino::engine::BatchSize;
use dino::io::inputs::{CollectedInputs, Source, is_address};
use dino::model::backbone::Backbone;
use dino::model::device::{DeviceChoice, DtypeChoice};
use dino::model::weights::{ModelRecord, NamedModel};
use dino::tasks::features::row_name;
use dino::tasks::stored_features::StoredFeatures;
use dino::terminal::console::Console;
use dino::{Error, Result};

use super::model::ModelReplicas;
use crate::cli::{InputArgs, RunArgs};

/// Opens the dataset at `folder`.
///
/// # Errors
/// If it cannot be read; [`Error::Usage`] for options about how a backbone runs.
pub fn open(folder: &Path, args: &RunArgs) -> Result<StoredFeatures> {
    let backbone_options = [
        ("--device", args.device != DeviceChoice::Auto),
        ("--dtype", args.dtype != DtypeChoice::Auto),
        ("--batch-size", args.batch_size != BatchSize::Auto),
    ];
    if let Some((option, _)) = backbone_options.iter().find(|(_, given)| *given) {
        return Err(Error::Usage(format!(
            "{option} is about the backbone, and with --features none runs; leave one of them out"
        )));
    }
    StoredFeatures::open(folder)
}

/// The backbone of the stored features.
///
/// # Errors
/// [`Error::Usage`] if another one is `named`.
pub fn resolve_model(stored: &StoredFeatures, named: Option<&str>) -> Result<NamedModel> {
    let model = stored.model();
    match named {
        Some(named) if named != model.name => Err(Error::Usage(format!(
            "--features {}: holds features of {}, not of {named}",
            stored.folder().display(),
            model.name
        ))),
        _ => Ok(model),
    }
}

/// All photos of the dataset as inputs; photos in tars and at addresses are looked up in these.
pub fn collect(
    stored: &StoredFeatures,
    input: &InputArgs,
    offline: bool,
) -> Result<CollectedInputs> {
    if input.page.is_some() {
        let why =
            "--page is for photos that are named; with --features alone all that it has are drawn";
        return Err(Error::Usage(why.into()));
    }
    let mut sources = stored.sources();
    let places: BTreeSet<OsString> = sources.iter().filter_map(container_of).collect();
    let places: Vec<OsString> = places.into_iter().collect();
    if !places.is_empty() {
        let found = input.collect_inputs(&places, offline)?.sources.into_iter();
        let found: HashMap<_, Source> = found.map(|source| (row_name(&source), source)).collect();
        for source in &mut sources {
            if let Some(found) = found.get(&row_name(source)) {
                source.clone_from(found);
            }
        }
    }
    Ok(CollectedInputs {
        sources,
        ..CollectedInputs::default()
    })
}

/// The tar or address that a photo is in; none for a file of its own.
fn container_of(source: &Source) -> Option<OsString> {
    let path = source.path();
    if path.to_str().is_some_and(is_address) {
        return Some(path.into());
    }
    if path.exists() {
        return None;
    }
    let tar = path.ancestors().skip(1).find(|above| above.is_file());
    tar.map(Into::into)
}

/// A constant backbone with the shape, name and fingerprint of the one whose features are stored.
pub fn load(stored: &StoredFeatures, console: &Console) -> Result<ModelReplicas> {
    let model = stored.model();
    console.note(format_args!(
        "features of {} from {}",
        model.name,
        stored.folder().display()
    ));
    Ok(ModelReplicas {
        backbones: vec![Backbone::constant(model.variant.config)?],
        record: ModelRecord {
            format: 1,
            name: model.name,
            variant: model.variant.name.to_owned(),
            source: String::new(),
            license: String::new(),
            sha256: String::new(),
            fingerprint: stored.meta().fingerprint.clone(),
            bytes: 0,
            imported_at: 0,
        },
    })
}
