//! The options that commands share, and the plain values they stand for.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;

use clap::{Args, ValueHint};
use dino::Result;
use dino::console::{Console, NOT_TO_A_TERMINAL};
use dino::device::{DeviceChoice, DtypeChoice};
use dino::inputs::{self, Collected, DecodeLimits};
use dino::output::{OutputOptions, Plan, Target};

/// What holds for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// No progress and no notes, only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Tell more, such as the time of each stage
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Threads to compute with [default: one per physical core]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// The photos to work on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Photos: files, folders, patterns such as 'a/*.jpg', or - for stdin
    #[arg(required = true, value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub inputs: Vec<OsString>,
    /// Search folders with all their subfolders
    #[arg(short, long)]
    pub recursive: bool,
    /// Refuse photos with more pixels than this
    #[arg(long, value_name = "MP", default_value = "200", value_parser = megapixels, allow_negative_numbers = true)]
    pub max_megapixels: f64,
}

impl InputArgs {
    /// Finds the photos.
    pub fn collect(&self) -> Result<Collected> {
        inputs::collect(&self.inputs, self.recursive)
    }

    /// What a photo may cost.
    pub fn limits(&self) -> DecodeLimits {
        DecodeLimits {
            max_pixels: (self.max_megapixels * 1e6) as u64,
        }
    }
}

/// Where results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// A folder, a picture file (.png, .jpg, .webp; for one photo), or - for stdout [default: dino-out]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub output: Option<OsString>,
    /// Replace outputs that are there already instead of skipping their photos
    #[arg(long)]
    pub force: bool,
    /// Print one JSON object a photo instead of the written paths
    #[arg(long)]
    pub json: bool,
}

impl OutputArgs {
    /// Where results go, checked.
    pub fn options(&self) -> Result<OutputOptions> {
        let target = self
            .output
            .as_deref()
            .map(Target::parse)
            .transpose()?
            .unwrap_or_default();
        if target == Target::Stdout && self.json {
            let why = "-o - and --json both want stdout; send the picture to a file";
            return Err(dino::Error::Usage(why.into()));
        }
        if target == Target::Stdout && io::stdout().is_terminal() {
            return Err(dino::Error::Usage(NOT_TO_A_TERMINAL.into()));
        }
        Ok(OutputOptions {
            target,
            force: self.force,
        })
    }

    /// Keeps stdout for the one output that goes there, and says which names were cut.
    pub fn settle(&self, plan: &Plan, console: &Console) -> Result<()> {
        if self.json {
            console.claim_stdout("--json")?;
        }
        plan.settle(console)
    }
}

/// How the backbone runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct RunArgs {
    /// The backbone; `dino models list` names them [default: the one installed, else vits14-focus]
    #[arg(short, long, value_name = "NAME")]
    pub model: Option<String>,
    /// Where to compute: auto, cpu, cuda, cuda:N or metal
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Number type of the backbone
    #[arg(long, value_name = "TYPE", default_value = "auto", value_parser = dtype_parser())]
    pub dtype: DtypeChoice,
    /// Photos of one size to run at once; more than 1 pays on a GPU
    #[arg(long, value_name = "N", default_value = "1")]
    pub batch_size: NonZeroUsize,
    /// Never download anything
    #[arg(long)]
    pub offline: bool,
}

fn megapixels(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1e6 => Ok(value),
        _ => Err("expected a number of megapixels above 0, such as 200".into()),
    }
}

/// The names of [`DtypeChoice`], which clap lists in the help and in errors.
fn dtype_parser() -> impl clap::builder::TypedValueParser<Value = DtypeChoice> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(["auto", "f32", "bf16", "f16"]).map(|name| match name.as_str() {
        "f32" => DtypeChoice::F32,
        "bf16" => DtypeChoice::Bf16,
        "f16" => DtypeChoice::F16,
        _ => DtypeChoice::Auto,
    })
}
