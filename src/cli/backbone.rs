//! Options of the backbone: which one, on which device, in which number type, at which size of the photo and which layer.

use clap::Args;
use dino::engine::BatchSize;
use dino::model::device::{DeviceChoice, DtypeChoice};
use dino::model::input::SizeRule;

/// How the backbone runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct RunArgs {
    /// The backbone; `dino models list` names them [default: $DINO_MODEL, else what `dino config` set, else the first
    /// of Meta's that is installed, else vits14 if it can be fetched, else vits14-focus]
    #[arg(short, long, value_name = "NAME")]
    pub model: Option<String>,
    /// Where to compute: auto, cpu, cuda, cuda:N, cuda:N,M or metal
    ///
    /// auto is the first NVIDIA GPU that works, else the Apple GPU, else the processor; a build that could use a GPU
    /// says why it does not, and `dino info` why the others do not. cuda is cuda:0; cuda:N,M names several GPUs, for
    /// commands that share their photos among them.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Number type of the backbone; auto is f16 on NVIDIA GPUs from Ampere on (compute capability 8.0), f32 elsewhere
    ///
    /// Where a model's numbers overflow f16, its photos are computed in bf16, which is as fast and less exact, and it
    /// is said.
    #[arg(long, value_name = "TYPE", default_value = "auto", value_parser = dtype_parser())]
    pub dtype: DtypeChoice,
    /// Photos of one size to run at once; auto is 1 on a CPU, and what its memory allows on an NVIDIA GPU
    ///
    /// Where the memory of a GPU does not suffice for as many, half as many run from then on, and it is said.
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    pub batch_size: BatchSize,
    /// Never download anything (as HF_HUB_OFFLINE=1)
    #[arg(long)]
    pub offline: bool,
}

/// The names of [`DtypeChoice`], which clap lists in the help and in errors.
pub fn dtype_parser() -> impl clap::builder::TypedValueParser<Value = DtypeChoice> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(["auto", "f32", "bf16", "f16"]).map(|name| match name.as_str() {
        "f32" => DtypeChoice::F32,
        "bf16" => DtypeChoice::Bf16,
        "f16" => DtypeChoice::F16,
        _ => DtypeChoice::Auto,
    })
}

/// The size at which the backbone sees a photo, of commands that have no head to say it.
#[derive(Debug, Args)]
pub struct SizeArgs {
    /// What the backbone sees: the short side in pixels, native, or WIDTHxHEIGHT
    #[arg(
        long,
        default_value = "518",
        value_name = "SIZE",
        help_heading = "Model"
    )]
    pub size: SizeRule,
}

/// Which patch tokens are read, of commands that read one layer.
#[derive(Debug, Args)]
pub struct PatchTokenArgs {
    #[command(flatten)]
    pub size: SizeArgs,
    /// Block whose patch tokens are used, from 0; -1 is the last
    #[arg(
        long,
        default_value = "-1",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Model"
    )]
    pub layer: i64,
    /// Leave out the backbone's final norm
    #[arg(long, help_heading = "Model")]
    pub no_norm: bool,
}
