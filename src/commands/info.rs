//! `dino info`: what this build is, and what it finds on this machine.

use std::path::PathBuf;

use dino::Result;
use dino::io::output::put_path;
use dino::io::video;
use dino::model::device;
use dino::model::device::gpu::{self, Gpu};
use dino::model::device::launcher::SWITCH;
use dino::model::head_zoo::{TASKS, fetch};
use dino::model::weights::huggingface::{Folders, Location, Token};
use dino::model::weights::{Origins, Store, hub};
use dino::system::environment::Variables;
use dino::system::http::Access;
use dino::system::http::proxy::{Proxies, Route};
use dino::system::memory::readable;
use dino::terminal::console::Console;
use dino::terminal::printable::printable;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::CONFIG_KEYS;
use crate::commands::config::Default;
use crate::commands::{cache, config};

/// The facts, in the order in which they are shown.
struct Info {
    version: &'static str,
    features: Vec<&'static str>,
    devices: Vec<String>,
    gpus: Vec<Gpu>,
    /// Why `--device auto` uses none, where it does not.
    gpu_unused: Option<String>,
    threads: usize,
    simd: &'static str,
    store: Option<PathBuf>,
    models: Result<Vec<String>>,
    /// What bare commands use, by task.
    defaults: Vec<(&'static str, Result<Default>)>,
    settings: Vec<Setting>,
}

/// What holds for the store and the network, and who said so.
#[derive(Serialize)]
struct Setting {
    name: &'static str,
    /// Absent where nothing is set; never a secret.
    value: Option<String>,
    /// The variable, `default`, or nothing.
    source: Option<String>,
    /// Why the variable cannot be used.
    error: Option<String>,
}

impl Setting {
    fn new(name: &'static str, found: Result<Option<(String, String)>>) -> Self {
        let (found, error) = match found {
            Ok(found) => (found, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let (value, source) = found.unzip();
        Setting {
            name,
            value,
            source,
            error,
        }
    }

    fn line(&self) -> String {
        match (&self.value, &self.source, &self.error) {
            (_, _, Some(error)) => error.clone(),
            (Some(value), Some(source), _) => format!("{value} ({source})"),
            _ => "none".to_owned(),
        }
    }
}

impl Info {
    fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("version".into(), json!(self.version));
        object.insert("features".into(), json!(self.features));
        object.insert("devices".into(), json!(self.devices));
        object.insert("gpus".into(), json!(self.gpus));
        object.insert("gpu_unused".into(), json!(self.gpu_unused));
        object.insert("threads".into(), json!(self.threads));
        object.insert("simd".into(), json!(self.simd));
        put_path(&mut object, "store", self.store.as_deref());
        let names = self.models.as_ref().map_or(&[][..], Vec::as_slice);
        object.insert("models".into(), json!(names));
        if let Err(error) = &self.models {
            object.insert("models_error".into(), json!(error.to_string()));
        }
        let defaults = self.defaults.iter().map(|(key, default)| {
            let value = match default {
                Ok(default) => default.to_json(),
                Err(error) => json!({"error": error.to_string()}),
            };
            ((*key).to_owned(), value)
        });
        object.insert("defaults".into(), Value::Object(defaults.collect()));
        object.insert("settings".into(), json!(self.settings));
        object
    }

    fn gather() -> Self {
        let features = [
            ("cuda", cfg!(feature = "cuda")),
            ("metal", cfg!(feature = "metal")),
        ];
        let variables = Variables::of_process();
        let store = Store::from_variables(&variables);
        let models = match &store {
            Ok((store, _)) => store.list(),
            // Said in the line about the store.
            Err(_) => Ok(Vec::new()),
        };
        let defaults = match &store {
            Ok((store, _)) => CONFIG_KEYS
                .into_iter()
                .map(|key| (key, config::default_of(store, key)))
                // Classifiers are there only when they were fetched.
                .filter(|(key, default)| *key != "classify" || default.is_ok())
                .collect(),
            Err(_) => Vec::new(),
        };
        let (gpus, gpu_unused) = match gpu::list() {
            Ok(gpus) => (gpus, gpu::why_unused()),
            Err(why) => (Vec::new(), Some(why)),
        };
        Info {
            version: env!("CARGO_PKG_VERSION"),
            features: features
                .iter()
                .filter(|(_, on)| *on)
                .map(|(name, _)| *name)
                .collect(),
            devices: device::available(&gpus),
            gpus,
            gpu_unused,
            threads: candle_core::utils::get_num_threads(),
            simd: device::simd(),
            store: store.ok().map(|(store, _)| store.root().to_owned()),
            models: models.map(|models| models.into_iter().map(|(name, _)| name).collect()),
            defaults,
            settings: settings(&variables),
        }
    }
}

/// What the variables come to.
fn settings(variables: &Variables) -> Vec<Setting> {
    let store = Store::from_variables(variables)
        .map(|(store, source)| Some((store.root().display().to_string(), source.to_owned())));
    let access = Access::from_variables(variables).map(|access| match access {
        Access::Allowed => None,
        Access::Forbidden(by) => Some(("forbidden".to_owned(), by)),
    });
    let address = |variable: &'static str, found: Result<String>| {
        let source = match variables.os(variable) {
            Some(_) => variable,
            None => "default",
        };
        found.map(|address| Some((address, source.to_owned())))
    };
    let folders = Folders::of(variables);
    let cache = folders.map(|folders| {
        let found =
            |Location { path, source }: Location| (path.display().to_string(), source.into());
        folders.cache.map(found)
    });
    let token = Folders::of(variables)
        .and_then(|folders| Token::find(variables, folders.token.as_ref()))
        .map(|token| token.map(|token| ("set".to_owned(), token.source)));
    let proxies = Proxies::from_variables(variables);
    let proxy = |at: usize| {
        let all = proxies.as_ref().map_err(dino::Error::to_string);
        let route = all.and_then(|proxies| {
            proxies.all()[at]
                .as_ref()
                .map_err(|e| e.to_string())
                .cloned()
        });
        route
            .map(|route: Option<Route>| route.map(|it| (it.address(), it.variable.to_owned())))
            .map_err(dino::Error::Usage)
    };
    let exempt = proxies.as_ref().ok().and_then(Proxies::exempt);
    let exempt = exempt.map(|it| (it.value.clone(), it.variable.to_owned()));
    let mut settings = vec![
        Setting::new("store", store),
        Setting::new("network", access),
        Setting::new("hub", address("HF_ENDPOINT", hub::endpoint(variables))),
        Setting::new("token", token),
        Setting::new("cache", cache),
        Setting::new("train cache", train_cache(variables)),
        Setting::new(
            "heads",
            address("DINO_HEADS_URL", fetch::address(variables)),
        ),
        Setting::new("https", proxy(1)),
        Setting::new("http", proxy(0)),
        Setting::new("direct", Ok(exempt)),
    ];
    let choices = TASKS.map(|task| format!("DINO_HEAD_{}", task.to_ascii_uppercase()));
    let names = [
        "DINO_MODEL",
        Origins::VARIABLE,
        "DINO_HTTP_TIMEOUT",
        SWITCH,
        device::SIMD,
        video::VARIABLE,
    ]
    .map(str::to_owned);
    let set = names.into_iter().chain(choices).filter_map(|name| {
        let value = variables.os(&name)?.display().to_string();
        Some(Setting::new("set", Ok(Some((value, name)))))
    });
    settings.extend(set);
    settings
}

/// The folder of the features that training keeps, and how much there is.
fn train_cache(variables: &Variables) -> Result<Option<(String, String)>> {
    let (store, source) = Store::from_variables(variables)?;
    let cache = cache::folder_of(&store);
    let limit = cache.usual_limit().map_or(String::new(), |limit| {
        format!(" of up to {}", readable(limit))
    });
    let bytes = readable(cache.bytes()?);
    let value = format!("{}: {bytes}{limit}", cache.path().display());
    Ok(Some((value, source.to_owned())))
}

/// Prints the facts, as aligned lines or as one JSON object.
pub fn run(json: bool, console: &Console) -> Result<u8> {
    let info = Info::gather();
    if json {
        console.out(&Value::Object(info.to_json()).to_string())?;
        return Ok(0);
    }
    let list = |names: &[String]| match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    };
    let features: Vec<String> = info
        .features
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    let mut rows = vec![
        ("dino", info.version.to_owned()),
        ("features", list(&features)),
        ("devices", list(&info.devices)),
    ];
    rows.extend(info.gpus.iter().map(|gpu| ("gpu", gpu.line())));
    if let Some(why) = &info.gpu_unused {
        rows.push(("gpu", format!("none is used: {why}")));
    }
    rows.extend([
        ("threads", info.threads.to_string()),
        ("simd", info.simd.to_owned()),
        (
            "models",
            match &info.models {
                Ok(names) => list(names),
                Err(error) => error.to_string(),
            },
        ),
    ]);
    rows.extend(info.defaults.iter().map(|(key, default)| {
        let value = default
            .as_ref()
            .map_or_else(ToString::to_string, Default::text);
        (*key, value)
    }));
    rows.extend(info.settings.iter().map(|it| {
        let value = match (it.name, &it.value) {
            ("network", None) if it.error.is_none() => "allowed".to_owned(),
            _ => it.line(),
        };
        (it.name, value)
    }));
    for (label, value) in rows {
        let label = match label {
            "https" => "https via",
            "http" => "http via",
            "train cache" => "cached",
            "model" => "default",
            label => label,
        };
        console.out(&format!("{label:10}{}", printable(&value)))?;
    }
    Ok(0)
}
