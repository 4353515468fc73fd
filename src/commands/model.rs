//! From `--model`, `--device` and `--dtype` to a backbone that is ready to run.

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{DType, Device};
use dino::backbone::Backbone;
use dino::console::{Console, Progress};
use dino::head::Head;
use dino::memory::readable;
use dino::output::Outputs;
use dino::preprocess::{Coarse, Geometry};
use dino::weights::{self, Access, Event, Record, Store};
use dino::{Result, device, interrupt, memory};

use crate::cli::RunArgs;

/// A backbone, and what is known of its weights.
pub struct Model {
    /// Ready to run.
    pub backbone: Backbone,
    /// From the store.
    pub record: Record,
}

/// Loads the chosen backbone, fetching the default one if it is not there yet, and says which one runs where.
pub fn load(args: &RunArgs, console: &Console) -> Result<Model> {
    load_model(args, args.model.as_deref(), console)
}

/// As [`load`], but the backbone called `name`, whichever is chosen.
pub fn load_named(args: &RunArgs, name: &str, console: &Console) -> Result<Model> {
    load_model(args, Some(name), console)
}

/// As [`load`], but the backbone that `head` reads unless another is named, which the head then refuses if it does not
/// know it.
pub fn load_for(args: &RunArgs, head: &Head, console: &Console) -> Result<Model> {
    let name = args.model.as_deref().unwrap_or(&head.meta.backbone);
    let model = load_model(args, Some(name), console)?;
    let Record {
        name,
        variant,
        fingerprint,
        ..
    } = &model.record;
    head.check(name, (variant, fingerprint), &model.backbone)?;
    console.note(format_args!("head {}", head.meta.name));
    Ok(model)
}

fn load_model(args: &RunArgs, name: Option<&str>, console: &Console) -> Result<Model> {
    let start = Instant::now();
    let device = args.device.open()?;
    let dtype = args.dtype.on(&device)?;
    let model = build(args, &Store::open()?, name, (&device, dtype), console)?;
    console.note(format_args!(
        "{} on {}",
        model.record.name,
        device::name(&device)
    ));
    console.detail(format_args!(
        "model loaded in {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    ));
    Ok(model)
}

/// Keeps the weights and heads of a store from being replaced by any output.
pub fn protect_installed(outputs: &mut Outputs, store: &Store) {
    for folder in [store.models(), store.root().join("heads")] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        outputs.protect(files.iter().map(PathBuf::as_path));
    }
}

/// As [`protect_installed`], for files that options name too.
pub fn protect<'p>(
    outputs: &mut Outputs,
    named: impl IntoIterator<Item = Option<&'p Path>>,
) -> Result<()> {
    protect_installed(outputs, &Store::open()?);
    outputs.protect(named.into_iter().flatten());
    Ok(())
}

/// Reads a model of `store`, fetching the default one if it is not there yet, and builds it on a device.
pub fn build(
    args: &RunArgs,
    store: &Store,
    name: Option<&str>,
    (device, dtype): (&Device, DType),
    console: &Console,
) -> Result<Model> {
    let access = Access::of(args.offline)?;
    let loaded = weights::load(store, name, &access, &mut events(console))?;
    memory::check_weights(&loaded.record.name, loaded.record.bytes)?;
    let config = loaded.variant.config;
    let backbone = Backbone::from_source(config, &loaded.tensors, device, dtype)?;
    Ok(Model {
        backbone,
        record: loaded.record,
    })
}

/// Shows what the model store does: sentences as notes, transfers as a bar.
pub fn events(console: &Console) -> impl FnMut(Event<'_>) -> Result<()> {
    let mut bar: Option<Progress> = None;
    move |event| {
        interrupt::check()?;
        match event {
            Event::Note(text) => console.note(text),
            Event::Warning(text) => console.warn(text),
            Event::Progress { label, done, total } => {
                bar.get_or_insert_with(|| console.progress_bytes(total, label))
                    .set(done);
            }
            Event::ProgressEnd => bar = None,
        }
        Ok(())
    }
}

impl Model {
    /// Says where a photo was made smaller than the size that was asked for, how many patches it has, how much there is to
    /// compute for them, with a `coarse` look too, and how many bytes of `memory` the photo takes until it is done.
    pub fn explain(
        &self,
        console: &Console,
        name: &str,
        geometry: &Geometry,
        memory: u64,
        coarse: Option<Coarse>,
    ) {
        let (width, height) = geometry.resized;
        if geometry.reduced {
            console.note(format_args!(
                "{name}: so large a photo or so long a strip is seen at {width}x{height} (--size native and --size WIDTHxHEIGHT are obeyed)"
            ));
        }
        let grid = geometry.grid();
        let config = self.backbone.config();
        let mut flops = config.flops(grid.len());
        let mut second = String::new();
        if let Some(grid) = coarse.map(|coarse| coarse.grid(grid)) {
            flops += config.flops(grid.len());
            second = format!(" and {} x {} coarser ones", grid.cols, grid.rows);
        }
        console.detail(format_args!(
            "{name}: {} x {} = {} patches{second}, {:.0} GFLOP, up to {} of memory",
            grid.cols,
            grid.rows,
            grid.len(),
            flops / 1e9,
            readable(memory),
        ));
    }
}
