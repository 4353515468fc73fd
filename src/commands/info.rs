//! `dino info`: what this build is, and what it finds on this machine.

use std::path::PathBuf;

use dino::console::Console;
use dino::output::put_path;
use dino::weights::Store;
use dino::{Result, device};
use serde_json::{Map, Value, json};

/// The facts, in the order in which they are shown.
struct Info {
    version: &'static str,
    features: Vec<&'static str>,
    devices: Vec<String>,
    threads: usize,
    simd: &'static str,
    store: Option<PathBuf>,
    models: Vec<String>,
}

impl Info {
    fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("version".into(), json!(self.version));
        object.insert("features".into(), json!(self.features));
        object.insert("devices".into(), json!(self.devices));
        object.insert("threads".into(), json!(self.threads));
        object.insert("simd".into(), json!(self.simd));
        put_path(&mut object, "store", self.store.as_deref());
        object.insert("models".into(), json!(self.models));
        object
    }

    fn gather() -> Self {
        let features = [
            ("cuda", cfg!(feature = "cuda")),
            ("metal", cfg!(feature = "metal")),
        ];
        let (store, models) = installed();
        Info {
            version: env!("CARGO_PKG_VERSION"),
            features: features
                .iter()
                .filter(|(_, on)| *on)
                .map(|(name, _)| *name)
                .collect(),
            devices: device::available(),
            threads: candle_core::utils::get_num_threads(),
            simd: device::simd(),
            store,
            models,
        }
    }
}

/// The model store's folder and the names in it.
fn installed() -> (Option<PathBuf>, Vec<String>) {
    let Ok(store) = Store::open() else {
        return (None, Vec::new());
    };
    let names = store.list().unwrap_or_default().into_iter();
    (
        Some(store.root().to_owned()),
        names.map(|(name, _)| name).collect(),
    )
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
    for (label, value) in [
        ("dino", info.version.to_owned()),
        ("features", list(&features)),
        ("devices", list(&info.devices)),
        ("threads", info.threads.to_string()),
        ("simd", info.simd.to_owned()),
        (
            "store",
            info.store
                .map_or("none".into(), |root| root.display().to_string()),
        ),
        ("models", list(&info.models)),
    ] {
        console.out(&format!("{label:9}{value}"))?;
    }
    Ok(0)
}
