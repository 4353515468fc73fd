//! From `--model`, `--device` and `--dtype` to backbones that are ready to run, one replica per device.

use std::sync::Once;
use std::time::Instant;

use candle_core::{DType, Device};
use dino::model::backbone::Backbone;
use dino::model::defaults::DefaultsState;
use dino::model::device::DeviceChoice;
use dino::model::head::Head;
use dino::model::head_zoo::fetch;
use dino::model::weights::{self, FetchEvent, ModelRecord, NamedModel, Store};
use dino::system::http::NetworkAccess;
use dino::system::{interrupt, memory};
use dino::tasks::backbone_info::BackboneInfo;
use dino::terminal::console::{Console, Progress};
use dino::{Error, Result};

use crate::cli::RunArgs;

/// Name and fingerprint of the model of `--device null`, which computes nothing.
pub const NULL_MODEL: &str = "null";

/// One backbone with the same weights on each device.
pub struct ModelReplicas {
    /// The replicas, at least one.
    pub backbones: Vec<Backbone>,
    /// The weights' record in the store: name, source, licence, fingerprint.
    pub record: ModelRecord,
}

impl ModelReplicas {
    /// The backbone on the first device.
    pub fn backbone(&self) -> &Backbone {
        &self.backbones[0]
    }
}

/// Loads the backbone of `--model`, else the default one, which is fetched if it is missing; notes which one runs
/// where.
pub fn load(args: &RunArgs, console: &Console) -> Result<ModelReplicas> {
    load_model(args, args.model.as_deref(), console)
}

/// As [`load`], for the backbone called `name`, whatever `--model` says.
pub fn load_named(args: &RunArgs, name: &str, console: &Console) -> Result<ModelReplicas> {
    load_model(args, Some(name), console)
}

/// As [`load`], for the backbone that `head` was trained on unless `--model` names one.
///
/// # Errors
/// Also if the head was trained on another backbone.
pub fn load_for_head(args: &RunArgs, head: &Head, console: &Console) -> Result<ModelReplicas> {
    let name = args.model.as_deref().unwrap_or(&head.meta.backbone);
    let model = load_model(args, Some(name), console)?;
    check_heads(&[head], &model, console)?;
    Ok(model)
}

/// Refuses `heads` that were not trained on `model`, and notes their names.
pub fn check_heads(heads: &[&Head], model: &ModelReplicas, console: &Console) -> Result<()> {
    let ModelRecord {
        name,
        variant,
        fingerprint,
        ..
    } = &model.record;
    heads.iter().try_for_each(|head| {
        // The null model stands for any backbone.
        if fingerprint != NULL_MODEL {
            head.check_backbone(name, (variant, fingerprint), model.backbone().config())?;
        }
        warn_of_origin(head, &model.record, console);
        console.note(format_args!("head {}", head.meta.name));
        Ok(())
    })
}

/// Warns, once for each pair of head and weights, that they may not belong together: the head names no fingerprint, and
/// the weights are not from its publisher.
fn warn_of_origin(head: &Head, record: &ModelRecord, console: &Console) {
    let Ok(variant) = record.variant() else {
        return;
    };
    let is_known = !head.meta.fingerprint.is_empty() || record.fingerprint == NULL_MODEL;
    if is_known || fetch::is_of_publisher(&record.source, variant) {
        return;
    }
    let Ok(store) = Store::open() else {
        return;
    };
    let mut memory = DefaultsState::read(store.root());
    if memory.mark_warned(&head.meta.name, &record.fingerprint) {
        console.warn(format_args!(
            "{} was made for {} as its publisher has it; {} is from {}, and nobody has compared them (said once)",
            head.meta.name, variant.name, record.name, record.source
        ));
        // If this fails, the warning comes again.
        let _ = memory.write(store.root());
    }
}

/// The backbone and number type of a run, known before any weights are loaded.
pub struct ResolvedModel {
    /// The backbone.
    pub model: BackboneInfo,
    /// Number type of the computation, such as `f16`; by device where they differ.
    pub dtype: String,
}

/// Resolves devices, number type and backbone before any work is done and before anything is skipped.
///
/// # Errors
/// If a device cannot be opened, or there is no such backbone.
pub fn resolve(args: &RunArgs, console: &Console) -> Result<ResolvedModel> {
    let dtype = check_devices(args, console)?;
    let access = NetworkAccess::from_offline_flag(args.offline)?;
    let named = weights::find(&Store::open()?, args.model.as_deref(), &access)?;
    Ok(ResolvedModel {
        model: describe_model(&named, args),
        dtype,
    })
}

/// Describes the backbone of a run; on `--device null` its name and fingerprint are [`NULL_MODEL`].
pub fn describe_model(named: &NamedModel, args: &RunArgs) -> BackboneInfo {
    let known = BackboneInfo::from(named);
    match args.device {
        DeviceChoice::Null => BackboneInfo {
            name: NULL_MODEL.to_owned(),
            fingerprint: Some(NULL_MODEL.to_owned()),
            ..known
        },
        _ => known,
    }
}

/// Opens the devices of a run; returns the number types they compute in.
pub fn check_devices(args: &RunArgs, console: &Console) -> Result<String> {
    let mut dtypes = Vec::new();
    if args.device == DeviceChoice::Null {
        // So that outputs of the null model are never taken as up to date for a real one.
        dtypes.push("null");
    }
    for device in open_devices(args, console)? {
        dtypes.push(args.dtype.resolve(&device)?.as_str());
    }
    dtypes.dedup();
    Ok(dtypes.join(","))
}

fn load_model(args: &RunArgs, name: Option<&str>, console: &Console) -> Result<ModelReplicas> {
    let start = Instant::now();
    let devices = open_devices(args, console)?;
    let mut on = Vec::new();
    for device in &devices {
        on.push((device, args.dtype.resolve(device)?));
    }
    let mut model = build(args, &Store::open()?, name, &on, console)?;
    let names = devices.iter().map(|device| args.device.name_of(device));
    let names: Vec<String> = names.collect();
    console.note(format_args!(
        "{} on {}",
        model.record.name,
        names.join(" and ")
    ));
    console.detail(format_args!(
        "model loaded in {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    ));
    if args.device == DeviceChoice::Null {
        // Likewise.
        let record = &mut model.record;
        (record.name, record.fingerprint) = (NULL_MODEL.to_owned(), NULL_MODEL.to_owned());
    }
    Ok(model)
}

/// Opens the devices of `--device`; notes why no GPU is used where one could be expected.
pub fn open_devices(args: &RunArgs, console: &Console) -> Result<Vec<Device>> {
    warn_of_null(args, console);
    args.device
        .open_all(&mut |note| console.note_once("device", note))
}

/// Opens the one device of `--device`; notes why no GPU is used where one could be expected.
pub fn open_device(args: &RunArgs, console: &Console) -> Result<Device> {
    warn_of_null(args, console);
    args.device
        .open(&mut |note| console.note_once("device", note))
}

/// Warns, once, that outputs of `--device null` are meaningless.
fn warn_of_null(args: &RunArgs, console: &Console) {
    static SAID: Once = Once::new();
    if args.device == DeviceChoice::Null {
        SAID.call_once(|| {
            console.warn(
                "--device null: the network is replaced by a constant, so that pictures and numbers mean nothing; it is for \
                 measuring the rest",
            );
        });
    }
}

/// Refuses `--device null` for commands that are about the model's results.
///
/// # Errors
/// [`Error::Usage`] if the device is `null`.
pub fn refuse_null(args: &RunArgs) -> Result<()> {
    match args.device {
        DeviceChoice::Null => Err(Error::Usage(
            "--device null: this command is about what the network gives, and there would be none"
                .into(),
        )),
        _ => Ok(()),
    }
}

/// Reads a model of `store` and builds it on each device; the default model is fetched if it is missing.
pub fn build(
    args: &RunArgs,
    store: &Store,
    name: Option<&str>,
    devices: &[(&Device, DType)],
    console: &Console,
) -> Result<ModelReplicas> {
    let access = NetworkAccess::from_offline_flag(args.offline)?;
    let loaded = weights::load(store, name, &access, &mut event_handler(console))?;
    memory::check_weights(&loaded.record.name, loaded.record.bytes)?;
    let config = loaded.variant.config;
    let backbones = devices.iter().map(|&(device, dtype)| match args.device {
        DeviceChoice::Null => Backbone::constant(config),
        _ => Backbone::from_source(config, &loaded.tensors, device, dtype),
    });
    Ok(ModelReplicas {
        backbones: backbones.collect::<Result<_>>()?,
        record: loaded.record,
    })
}

/// Shows events of the model store: sentences as notes, transfers as a progress bar.
pub fn event_handler(console: &Console) -> impl FnMut(FetchEvent<'_>) -> Result<()> {
    let mut bar: Option<Progress> = None;
    move |event| {
        interrupt::check()?;
        match event {
            FetchEvent::Note(text) | FetchEvent::Resumed(text) => console.note(text),
            FetchEvent::Warning(text) => console.warn(text),
            FetchEvent::Progress { label, done, total } => {
                bar.get_or_insert_with(|| console.progress_bytes(total, label))
                    .set(done);
            }
            FetchEvent::ProgressEnd => bar = None,
        }
        Ok(())
    }
}
