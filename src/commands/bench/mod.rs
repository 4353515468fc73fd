//! `dino bench`: time, throughput and peak memory of backbones on this machine.

mod timing;

use std::process::{Command, Stdio};
use std::time::Duration;

use dino::io::output::{Destination, OutputRegistry, write_output};
use dino::model::backbone::{Backbone, Checkpoint, variants};
use dino::model::device::{self, DeviceChoice};
use dino::model::input::{Geometry, PatchGrid, SizeRule};
use dino::model::weights::{self, Store};
use dino::system::child_process::ChildProcess;
use dino::system::files::temporary::scratch_file;
use dino::system::interrupt;
use dino::terminal::console::Console;
use dino::{Error, Result};
use serde::{Deserialize, Serialize};

use super::model;
use crate::cli::BenchArgs;
use timing::{peak_memory, reset_peak_memory, time_forward};

/// Measurements of one model at one size; a row of the table and an object of `--json`. Sizes are in pixels, times of a
/// batch in milliseconds, memory in MB.
#[derive(Debug, Serialize, Deserialize)]
struct BenchRow {
    model: String,
    device: String,
    dtype: String,
    threads: usize,
    simd: String,
    width: usize,
    height: usize,
    batch: usize,
    tokens: usize,
    runs: usize,
    median_ms: f64,
    p10_ms: f64,
    p90_ms: f64,
    images_per_s: f64,
    tokens_per_s: f64,
    gflop: f64,
    gflop_per_s: f64,
    peak_rss_mb: Option<f64>,
    random_weights: bool,
}

/// Measures all models at all sizes, and prints a row for each.
pub fn run(args: &BenchArgs, console: &Console) -> Result<u8> {
    let store = Store::open()?;
    let mut outputs = OutputRegistry::default();
    dino::tasks::run::protect_installed(&mut outputs, &store);
    let json = match &args.json {
        Some(path) => Some(outputs.add_flag("--json", path, args.force)?),
        None => None,
    };
    let to_stdout = json == Some(Destination::Stdout);
    if to_stdout {
        console.claim_stdout("--json -")?;
    }
    let device = model::open_device(&args.run, console)?;
    let dtype = args.run.dtype.resolve(&device)?;
    let names = match &args.run.model {
        Some(name) => vec![name.clone()],
        None if args.models.is_empty() => vec![weights::default_model(&store)?],
        None => args.models.clone(),
    };
    // Sizes are checked before anything is printed.
    args.size.iter().try_for_each(|&size| check_size(size))?;
    let mut rows = Vec::new();
    if !to_stdout {
        console.out(&heading())?;
    }
    for name in &names {
        if names.len() > 1 {
            // In a process of its own: memory of one model is not given back at once, and would count for the next.
            for row in measure_in_child(name, args, console)? {
                if !to_stdout {
                    console.out(&row.line())?;
                }
                rows.push(row);
            }
            continue;
        }
        let mut is_own = reset_peak_memory() || rows.is_empty();
        let (backbone, random_weights) = load(name, &store, args, console, (&device, dtype))?;
        for &size in &args.size {
            let grid = patch_grid(size, backbone.config().patch_size)?;
            let batch = args.run.batch_size.or_one();
            let progress = console.progress(args.runs.get() as u64, "runs");
            let timed = time_forward(&backbone, grid, batch, args.runs.get(), || progress.inc(1));
            let timing = timed.map_err(|error| match device::is_out_of_memory(&error) {
                true => Error::Memory(format!(
                    "{} has too little memory for {batch} photos of {size} at once: give a smaller --batch-size or --size",
                    args.run.device.name_of(&device)
                )),
                false => error,
            })?;
            drop(progress);
            let config = backbone.config();
            let per_second = 1e3 / timing.quantile_ms(0.5);
            let tokens = 1 + config.registers + grid.len();
            let gflop = config.flops(grid.len()) * batch as f64 / 1e9;
            let row = BenchRow {
                model: name.clone(),
                device: args.run.device.name_of(&device),
                dtype: dtype.as_str().to_owned(),
                threads: rayon::current_num_threads(),
                simd: device::simd().to_owned(),
                width: grid.cols * config.patch_size,
                height: grid.rows * config.patch_size,
                batch,
                tokens,
                runs: args.runs.get(),
                median_ms: timing.quantile_ms(0.5),
                p10_ms: timing.quantile_ms(0.1),
                p90_ms: timing.quantile_ms(0.9),
                images_per_s: batch as f64 * per_second,
                tokens_per_s: (batch * tokens) as f64 * per_second,
                gflop,
                gflop_per_s: gflop * per_second,
                peak_rss_mb: peak_memory()
                    .filter(|_| is_own)
                    .map(|bytes| bytes as f64 / 1e6),
                random_weights,
            };
            is_own = reset_peak_memory();
            if !to_stdout {
                console.out(&row.line())?;
            }
            rows.push(row);
        }
    }
    if let Some(destination) = json {
        let text =
            serde_json::to_string_pretty(&rows).map_err(|error| Error::Usage(error.to_string()))?;
        match destination {
            Destination::Stdout => console.out(&text)?,
            file => write_output(console, &file, true, |writer| writeln!(writer, "{text}"))?,
        }
    }
    Ok(0)
}

/// Measures one of several models in a child process, which inherits the number of threads by its environment.
fn measure_in_child(name: &str, args: &BenchArgs, console: &Console) -> Result<Vec<BenchRow>> {
    let failed = |why: String| Error::Model(format!("{name} could not be measured: {why}"));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let sizes: Vec<String> = args.size.iter().map(ToString::to_string).collect();
    let dtype = args.run.dtype.to_string();
    let mut command = Command::new(program);
    command
        .args([
            "bench",
            "--json",
            "-",
            "--model",
            name,
            "--size",
            &sizes.join(","),
        ])
        .args(["--runs", &args.runs.to_string()])
        .args(["--batch-size", &args.run.batch_size.to_string()])
        .args(["--device", &args.run.device.to_string(), "--dtype", &dtype])
        .args(args.run.offline.then_some("--offline"))
        .args(console.is_quiet().then_some("--quiet"))
        .stdin(Stdio::null());
    let figures = scratch_file().map_err(|error| failed(error.to_string()))?;
    let out = figures.as_file().try_clone();
    command.stdout(out.map_err(|error| failed(error.to_string()))?);
    let mut running =
        ChildProcess::start(&mut command).map_err(|error| failed(error.to_string()))?;
    let status = loop {
        interrupt::check()?;
        match running
            .try_wait()
            .map_err(|error| failed(error.to_string()))?
        {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    // The child has printed why.
    if !status.success() {
        return Err(failed("see above".into()));
    }
    let text = std::fs::read(figures.path()).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))
}

/// The backbone, and whether its weights are random because the model is not installed.
fn load(
    name: &str,
    store: &Store,
    args: &BenchArgs,
    console: &Console,
    (device, dtype): (&candle_core::Device, candle_core::DType),
) -> Result<(Backbone, bool)> {
    let variant = variants::find(name);
    if store.get(name)?.is_none()
        && let Some(variant) = variant
    {
        if args.run.device == DeviceChoice::Null {
            return Ok((Backbone::constant(variant.config)?, false));
        }
        console.note(format_args!(
            "{name} is not installed; measured with random weights, which take the same time"
        ));
        let checkpoint = Checkpoint::random(&variant.config)?;
        let backbone = Backbone::new(variant.config, checkpoint, device, dtype)?;
        return Ok((backbone, true));
    }
    let model = model::build(&args.run, store, Some(name), &[(device, dtype)], console)?;
    let mut backbones = model.backbones;
    Ok((backbones.swap_remove(0), false))
}

/// Refuses `native`, which needs a photo.
fn check_size(size: SizeRule) -> Result<()> {
    match size {
        SizeRule::Native => Err(native_size_error()),
        _ => Ok(()),
    }
}

fn native_size_error() -> Error {
    Error::Usage(
        "--size native means nothing without a photo; give a number, or WIDTHxHEIGHT".into(),
    )
}

/// The patch grid of a square photo, or of one of the given (width, height).
fn patch_grid(size: SizeRule, patch_size: usize) -> Result<PatchGrid> {
    let photo = match size {
        SizeRule::ShortSide(side) | SizeRule::Fit(side) => (side, side),
        SizeRule::Exact { width, height } => (width, height),
        SizeRule::Native => return Err(native_size_error()),
    };
    Ok(Geometry::new(photo, SizeRule::Native, patch_size).grid())
}

fn heading() -> String {
    format!(
        "{:14} {:>11} {:>7} {:>10} {:>17} {:>9} {:>10} {:>9} {:>8}",
        "model",
        "size",
        "tokens",
        "median ms",
        "p10 - p90",
        "images/s",
        "tokens/s",
        "GFLOP/s",
        "peak MB"
    )
}

impl BenchRow {
    fn line(&self) -> String {
        let BenchRow {
            model,
            width,
            height,
            tokens,
            ..
        } = self;
        let spread = format!("{:.1} - {:.1}", self.p10_ms, self.p90_ms);
        let peak = self
            .peak_rss_mb
            .map_or("-".to_owned(), |mb| format!("{mb:.0}"));
        format!(
            "{model:14} {:>11} {tokens:>7} {:>10.1} {spread:>17} {:>9.2} {:>10.0} {:>9.1} {peak:>8}",
            format!("{width}x{height}"),
            self.median_ms,
            self.images_per_s,
            self.tokens_per_s,
            self.gflop_per_s,
        )
    }
}
