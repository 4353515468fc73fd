//! `dino info`: version, devices, threads, model store and settings of this build on this machine.

use std::path::PathBuf;

use dino::Result;
use dino::io::output::put_path;
use dino::io::video;
use dino::model::device;
use dino::model::device::gpu::{self, Gpu};
use dino::model::device::launcher::CUDA_VARIABLE;
use dino::model::head_zoo::{TASKS, fetch};
use dino::model::weights::huggingface::{HubPath, HubPaths, HubToken};
use dino::model::weights::{Store, WeightsPolicy, hub};
use dino::system::environment::EnvVariables;
use dino::system::http::NetworkAccess;
use dino::system::http::proxy::{ProxyServer, ProxySettings};
use dino::system::memory::format_bytes;
use dino::terminal::console::Console;
use dino::terminal::printable::printable;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::CONFIG_KEYS;
use crate::commands::cache;
use crate::commands::config::{self, DefaultChoice};

/// The facts, in the order of the output and with the keys of `--json`.
struct SystemInfo {
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
    /// What bare commands use, by task or `backbone`.
    defaults: Vec<(&'static str, Result<DefaultChoice>)>,
    settings: Vec<SettingInfo>,
}

/// One setting of the store or the network, and where it comes from.
#[derive(Serialize)]
struct SettingInfo {
    name: &'static str,
    /// The value; absent where nothing is set, and never a secret.
    value: Option<String>,
    /// The environment variable that set it, or `default`.
    source: Option<String>,
    /// Why the variable cannot be used.
    error: Option<String>,
}

impl SettingInfo {
    fn new(name: &'static str, found: Result<Option<(String, String)>>) -> Self {
        let (found, error) = match found {
            Ok(found) => (found, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let (value, source) = found.unzip();
        SettingInfo {
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

impl SystemInfo {
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
        let variables = EnvVariables::from_process();
        let store = Store::from_variables(&variables);
        let models = match &store {
            Ok((store, _)) => store.list(),
            // Said in the line about the store.
            Err(_) => Ok(Vec::new()),
        };
        let defaults = match &store {
            Ok((store, _)) => CONFIG_KEYS
                .into_iter()
                .map(|key| (key, config::resolve_default(store, key)))
                // Classifiers are there only when they were fetched.
                .filter(|(key, default)| *key != "classify" || default.is_ok())
                .collect(),
            Err(_) => Vec::new(),
        };
        let (gpus, gpu_unused) = match gpu::list() {
            Ok(gpus) => (gpus, gpu::unused_reason()),
            Err(why) => (Vec::new(), Some(why)),
        };
        SystemInfo {
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

/// The settings that follow from the environment variables.
fn settings(variables: &EnvVariables) -> Vec<SettingInfo> {
    let store = Store::from_variables(variables)
        .map(|(store, source)| Some((store.root().display().to_string(), source.to_owned())));
    let access = NetworkAccess::from_variables(variables).map(|access| match access {
        NetworkAccess::Allowed => None,
        NetworkAccess::Forbidden(by) => Some(("forbidden".to_owned(), by)),
    });
    let address = |variable: &'static str, found: Result<String>| {
        let source = match variables.os(variable) {
            Some(_) => variable,
            None => "default",
        };
        found.map(|address| Some((address, source.to_owned())))
    };
    let folders = HubPaths::from_variables(variables);
    let cache = folders.map(|folders| {
        let found = |HubPath { path, source }: HubPath| (path.display().to_string(), source.into());
        folders.cache.map(found)
    });
    let token = HubPaths::from_variables(variables)
        .and_then(|folders| HubToken::find(variables, folders.token.as_ref()))
        .map(|token| token.map(|token| ("set".to_owned(), token.source)));
    let proxies = ProxySettings::from_variables(variables);
    let proxy = |at: usize| {
        let all = proxies.as_ref().map_err(dino::Error::to_string);
        let route = all.and_then(|proxies| {
            proxies.all()[at]
                .as_ref()
                .map_err(|e| e.to_string())
                .cloned()
        });
        route
            .map(|route: Option<ProxyServer>| {
                route.map(|it| (it.address(), it.variable.to_owned()))
            })
            .map_err(dino::Error::Usage)
    };
    let exempt = proxies.as_ref().ok().and_then(ProxySettings::exempt);
    let exempt = exempt.map(|it| (it.value.clone(), it.variable.to_owned()));
    let mut settings = vec![
        SettingInfo::new("store", store),
        SettingInfo::new("network", access),
        SettingInfo::new("hub", address("HF_ENDPOINT", hub::endpoint(variables))),
        SettingInfo::new("token", token),
        SettingInfo::new("cache", cache),
        SettingInfo::new("train cache", train_cache(variables)),
        SettingInfo::new(
            "heads",
            address("DINO_HEADS_URL", fetch::address(variables)),
        ),
        SettingInfo::new("https", proxy(1)),
        SettingInfo::new("http", proxy(0)),
        SettingInfo::new("direct", Ok(exempt)),
    ];
    let choices = TASKS.map(|task| format!("DINO_HEAD_{}", task.to_ascii_uppercase()));
    let names = [
        "DINO_MODEL",
        WeightsPolicy::VARIABLE,
        "DINO_HTTP_TIMEOUT",
        CUDA_VARIABLE,
        device::SIMD_VARIABLE,
        video::FFMPEG_VARIABLE,
    ]
    .map(str::to_owned);
    let set = names.into_iter().chain(choices).filter_map(|name| {
        let value = variables.os(&name)?.display().to_string();
        Some(SettingInfo::new("set", Ok(Some((value, name)))))
    });
    settings.extend(set);
    settings
}

/// The folder of the training cache and its size in words; none where there is no folder.
fn train_cache(variables: &EnvVariables) -> Result<Option<(String, String)>> {
    let (store, source) = Store::from_variables(variables)?;
    let cache = cache::cache_folder_of(&store);
    let limit = cache.default_limit().map_or(String::new(), |limit| {
        format!(" of up to {}", format_bytes(limit))
    });
    let bytes = format_bytes(cache.bytes()?);
    let value = format!("{}: {bytes}{limit}", cache.path().display());
    Ok(Some((value, source.to_owned())))
}

/// Prints the facts, as aligned lines or as one JSON object.
pub fn run(json: bool, console: &Console) -> Result<u8> {
    let info = SystemInfo::gather();
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
            .map_or_else(ToString::to_string, DefaultChoice::describe);
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
