//! `--features`: stored features in the backbone's place.

use std::path::Path;

use dino::backbone::Backbone;
use dino::console::Console;
use dino::device::{DeviceChoice, DtypeChoice};
use dino::inputs::Collected;
use dino::tasks::stored::StoredFeatures;
use dino::weights::{NamedModel, Record};
use dino::{Error, Result};

use super::model::Model;
use crate::cli::RunArgs;

/// Opens a dataset; options about a backbone, of which none runs, are refused.
pub fn open(folder: &Path, args: &RunArgs) -> Result<StoredFeatures> {
    let about_it = [
        ("--device", args.device != DeviceChoice::Auto),
        ("--dtype", args.dtype != DtypeChoice::Auto),
    ];
    if let Some((option, _)) = about_it.iter().find(|(_, given)| *given) {
        return Err(Error::Usage(format!(
            "{option} is about the backbone, and with --features none runs; leave one of them out"
        )));
    }
    StoredFeatures::open(folder)
}

/// The backbone that they are of, which must be the one that is `named`.
pub fn model(stored: &StoredFeatures, named: Option<&str>) -> Result<NamedModel> {
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

/// The photos that there are features of.
pub fn collect(stored: &StoredFeatures) -> Collected {
    Collected {
        sources: stored.sources(),
        ..Collected::default()
    }
}

/// What stands in the backbone's place: its shape, and what it is called.
pub fn load(stored: &StoredFeatures, console: &Console) -> Result<Model> {
    let model = stored.model();
    console.note(format_args!(
        "features of {} from {}",
        model.name,
        stored.folder().display()
    ));
    Ok(Model {
        backbones: vec![Backbone::constant(model.variant.config)?],
        record: Record {
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
