//! `dino config`: the default head of each task and the default backbone are shown, set and unset.

use dino::model::backbone::variants;
use dino::model::defaults::DefaultsState;
use dino::model::head::Head;
use dino::model::head_zoo::{HeadChoiceReason, HeadLocation, HeadStore, TASKS, fetch};
use dino::model::weights::config::UserConfig;
use dino::model::weights::{self, Store, WeightsPolicy};
use dino::system::environment::EnvVariables;
use dino::system::http::NetworkAccess;
use dino::terminal::console::Console;
use dino::terminal::printable::printable;
use dino::{Error, Result};
use serde_json::{Value, json};

use crate::cli::ConfigArgs;

/// Runs the command.
pub fn run(args: &ConfigArgs, console: &Console) -> Result<u8> {
    let store = Store::open()?;
    WeightsPolicy::from_variables(&EnvVariables::from_process())?;
    if let Some(key) = &args.key
        && (args.unset || args.name.is_some())
    {
        set(&store, key, args.name.as_deref())?;
    }
    let keys: Vec<&str> = match &args.key {
        Some(key) => vec![key.as_str()],
        None => crate::cli::CONFIG_KEYS.to_vec(),
    };
    let mut code = 0;
    let mut all = serde_json::Map::new();
    for key in keys {
        match resolve_default(&store, key) {
            Ok(default) if args.json => {
                all.insert(key.to_owned(), default.to_json());
            }
            Ok(default) => console.out(&default.line(key))?,
            Err(error) => {
                // Only classifiers that were fetched exist; none is built in.
                if args.key.is_some() || key != "classify" {
                    console.error(&error);
                    code = 1;
                }
            }
        }
    }
    if let Some(why) = DefaultsState::read(store.root()).recent_failure(None) {
        console.note(format_args!(
            "Meta's weights could not be fetched within the last day: {why}"
        ));
    }
    let file = UserConfig::path(store.root());
    match args.json {
        true => {
            all.insert("file".into(), json!(file.display().to_string()));
            console.out(&Value::Object(all).to_string())?;
        }
        false => console.note(format_args!("set in {}", file.display())),
    }
    Ok(code)
}

/// Sets the default of `key`, a task or `backbone`; no `name` unsets it.
///
/// # Errors
/// If nothing of that name is installed, or it is for another task.
pub fn set(store: &Store, key: &str, name: Option<&str>) -> Result<()> {
    let mut config = UserConfig::read(store.root())?;
    match (key, name) {
        ("model", Some(name)) => {
            if store.get(name)?.is_none() && variants::find(name).is_none() {
                weights::find_variant(name)?;
            }
            config.model = Some(name.to_owned());
        }
        ("model", None) => config.model = None,
        (task, Some(name)) => {
            HeadStore::at(store.root()).choose(task, Some(name.as_ref()))?;
            config.heads.insert(task.to_owned(), name.to_owned());
            config.avoid.remove(name);
        }
        (task, None) => {
            config.heads.remove(task);
        }
    }
    config.write(store.root())
}

/// A default and the reason for it.
pub struct DefaultChoice {
    head: Option<(Head, HeadLocation)>,
    backbone: String,
    /// Who published the weights and under which licence, where that is known.
    origin: String,
    license: String,
    is_installed: bool,
    why: String,
}

/// The default of `key`, a task or `backbone`.
///
/// # Errors
/// If nothing is installed, or what was set is missing.
pub fn resolve_default(store: &Store, key: &str) -> Result<DefaultChoice> {
    if !TASKS.contains(&key) {
        let backbone = weights::default_model(store)?;
        let variables = EnvVariables::from_process();
        let why = match () {
            () if variables.text("DINO_MODEL")?.is_some() => "DINO_MODEL".to_owned(),
            () if WeightsPolicy::from_variables(&variables)? == WeightsPolicy::Focus => {
                WeightsPolicy::VARIABLE.to_owned()
            }
            () if UserConfig::read(store.root())?.model.is_some() => "set".to_owned(),
            () if backbone == weights::FOCUS_MODEL && will_fetch(store)? => {
                "until the next run fetches Meta's".to_owned()
            }
            () if backbone == weights::FOCUS_MODEL => "the one that can always be had".to_owned(),
            () => "the first of the table that is installed".to_owned(),
        };
        return describe_choice(store, (None, backbone), why);
    }
    let (found, reason) = HeadStore::at(store.root()).choose_with_reason(key, None, None)?;
    let why = match reason {
        HeadChoiceReason::Named => "named".to_owned(),
        HeadChoiceReason::Variable(name) => name,
        HeadChoiceReason::Config => "set".to_owned(),
        HeadChoiceReason::Installed => "the best that is installed".to_owned(),
        HeadChoiceReason::Builtin if key != "classify" && will_fetch(store)? => {
            "inside the program, until the next run fetches Meta's".to_owned()
        }
        HeadChoiceReason::Builtin => "inside the program".to_owned(),
    };
    let backbone = found.head.meta.backbone.clone();
    describe_choice(store, (Some((found.head, found.location)), backbone), why)
}

/// Whether a bare command would try to fetch Meta's weights.
fn will_fetch(store: &Store) -> Result<bool> {
    let variables = EnvVariables::from_process();
    let is_free = WeightsPolicy::from_variables(&variables)? == WeightsPolicy::Best
        && NetworkAccess::from_variables(&variables)? == NetworkAccess::Allowed;
    let host = fetch::address(&variables)?;
    let memory = DefaultsState::read(store.root());
    Ok(is_free && memory.recent_failure(Some(&host)).is_none())
}

fn describe_choice(
    store: &Store,
    (head, backbone): (Option<(Head, HeadLocation)>, String),
    why: String,
) -> Result<DefaultChoice> {
    let record = store.get(&backbone)?;
    let variant = match &record {
        Some(record) => Some(record.variant()?),
        None => variants::find(&backbone),
    };
    if variant.is_none() {
        return Err(Error::Model(format!(
            "the backbone {backbone} is neither installed nor in the table; `dino models list` shows both"
        )));
    }
    let published = head.as_ref().and_then(|(head, _)| head.meta.origin.clone());
    let (origin, license) = match (&head, published) {
        (Some(_), Some(origin)) => (origin.source, origin.license),
        (Some((head, place)), None) => {
            let from = match place {
                HeadLocation::Builtin => "inside the program",
                _ => "trained here",
            };
            let data = head
                .meta
                .training
                .as_ref()
                .map(|training| training.data.join(", "));
            (
                from.to_owned(),
                data.map_or(String::new(), |data| format!("trained on {data}")),
            )
        }
        (None, _) => {
            let source = record.as_ref().map(|record| record.source.clone());
            let of_table = variant.map_or(String::new(), |variant| variant.license.to_owned());
            let license =
                record
                    .as_ref()
                    .map_or(of_table, |record| match record.license.as_str() {
                        "unknown" => "licence unknown".to_owned(),
                        license => license.to_owned(),
                    });
            (
                source.unwrap_or_else(|| "not fetched yet".to_owned()),
                license,
            )
        }
    };
    Ok(DefaultChoice {
        head,
        backbone,
        origin,
        license,
        is_installed: record.is_some(),
        why,
    })
}

impl DefaultChoice {
    /// Name, reason, origin and licence as a JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "head": self.head.as_ref().map(|(head, _)| &head.meta.name),
            "backbone": self.backbone,
            "backbone_installed": self.is_installed,
            "origin": self.origin,
            "license": self.license,
            "why": self.why,
        })
    }

    /// The same as a line of `dino config`.
    pub fn line(&self, key: &str) -> String {
        format!("{key:10}{}", printable(&self.describe()))
    }

    /// The same in words, without the key.
    pub fn describe(&self) -> String {
        let missing = match self.is_installed {
            true => "",
            false => " (not installed yet)",
        };
        let head = self
            .head
            .as_ref()
            .map(|(head, _)| format!("{} on ", head.meta.name));
        format!(
            "{}{}{missing}: {}; {}",
            head.unwrap_or_default(),
            self.backbone,
            self.why,
            [self.origin.as_str(), self.license.as_str()]
                .into_iter()
                .filter(|text| !text.is_empty() && *text != self.why)
                .collect::<Vec<_>>()
                .join(", ")
        )
    }
}
