//! Resolution of a model's name, or of no name, to a row of the table; nothing is loaded or fetched here.
//!
//! In: the [`Store`], the environment (`DINO_MODEL`, `DINO_WEIGHTS`) and `config.json`. Out: the name of the default
//! model ([`default_model`]), or a row of [`VARIANTS`] with the fingerprint of the weights where they are installed
//! ([`find`]).

use crate::error::{Error, Result};
use crate::model::backbone::variants::{self, VARIANTS, Variant};
use crate::model::weights::config::UserConfig;
use crate::model::weights::policy::WeightsPolicy;
use crate::model::weights::store::Store;
use crate::model::weights::wheel::Wheel;
use crate::system::environment::EnvVariables;
use crate::system::http::NetworkAccess;
use crate::terminal::suggest;

/// The model of last resort: its publisher requires no account and no permission, and it may be fetched automatically.
pub const FOCUS_MODEL: &str = "vits14-focus";

/// The model used when none is named: `$DINO_MODEL`, else `vits14-focus` if `$DINO_WEIGHTS` is `focus`, else the one
/// that `dino config` set, else the first installed row of [`VARIANTS`] that is neither `vits14-focus` nor an encoder
/// of Depth Anything, else `vits14-focus`.
///
/// # Errors
/// If a variable or `config.json` is wrong, or if `$DINO_WEIGHTS` is `official` and none of Meta's models is installed.
pub fn default_model(store: &Store) -> Result<String> {
    let variables = EnvVariables::from_process();
    let policy = WeightsPolicy::from_variables(&variables)?;
    if let Some(name) = variables.text("DINO_MODEL")? {
        if policy == WeightsPolicy::Official && name == FOCUS_MODEL {
            return Err(Error::Usage(format!(
                "DINO_MODEL={name} is none of Meta's, which {}=official asks for; unset one of them",
                WeightsPolicy::VARIABLE
            )));
        }
        return Ok(name.to_owned());
    }
    if policy == WeightsPolicy::Focus {
        return Ok(FOCUS_MODEL.to_owned());
    }
    if let Some(name) = UserConfig::read(store.root())?
        .model
        .filter(|_| policy == WeightsPolicy::Best)
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
    if policy == WeightsPolicy::Official {
        return Err(Error::Model(format!(
            "{}=official: none of Meta's backbones is installed; `dino setup` fetches one",
            WeightsPolicy::VARIABLE
        )));
    }
    Ok(FOCUS_MODEL.to_owned())
}

/// A model by name, whether it is installed or would be pulled.
#[derive(Debug, Clone)]
pub struct NamedModel {
    /// Its name on the command line.
    pub name: String,
    /// Fingerprint of its weights (64 hex digits); `None` where they are not installed.
    pub fingerprint: Option<String>,
    /// The row of the table with its architecture and its source.
    pub variant: &'static Variant,
}

/// Finds the model `name` (the default when `None`) without loading or fetching it.
///
/// # Errors
/// As [`load()`](crate::model::weights::load()): if the model is neither installed nor may be fetched.
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

/// The row called `name`, if it may be downloaded automatically: only a model out of a wheel may.
pub(super) fn find_pullable_variant(
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

/// The row of [`VARIANTS`] called `name`.
///
/// # Errors
/// [`Error::Usage`] if there is none; the message lists the valid names.
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
