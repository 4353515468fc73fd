//! Options of the commands of `dino heads`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Subcommand, ValueHint};

/// List, fetch, inspect and choose heads
#[derive(Debug, Subcommand)]
pub enum HeadsCommand {
    /// List the heads that are there, and those that can be fetched
    #[command(after_help = "Example:\n  dino heads list")]
    List {
        /// Print one JSON object a head, published heads that are not installed included
        #[arg(long)]
        json: bool,
    },
    /// Show everything a head says about itself
    #[command(
        after_help = "Examples:\n  dino heads info indoor\n  dino heads info ./my.safetensors --json"
    )]
    Info {
        /// Its name, or its file
        name: OsString,
        /// Print its metadata as JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch the heads that Meta published with DINOv2, and the backbones they need; or those of Depth Anything V2
    ///
    /// A name is that of one head (nyu-linear4-vits14), or cut short for heads of --model: nyu-dpt, nyu for all of that
    /// data set, official for all. A repository of the Hugging Face hub with a head and its backbone in one file
    /// (facebook/dpt-dinov2-small-nyu) will do as well, and da2-small, da2-indoor-base, … stand for those of Depth Anything V2.
    /// Transfers are resumed where they broke off. DINO_HEADS_URL names
    /// a mirror of the publisher's host.
    #[command(after_help = PULL_EXAMPLES)]
    Pull {
        /// Heads, or groups of them
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// The backbone whose heads are meant by names without one
        #[arg(long, default_value = "vits14", value_name = "MODEL")]
        model: String,
        /// Leave out backbones that are not installed
        #[arg(long)]
        no_backbone: bool,
        /// Never download anything: only what other Hugging Face programs have cached is taken (as HF_HUB_OFFLINE=1)
        #[arg(long)]
        offline: bool,
    },
    /// Install a published head from a file: the publisher's .pth, or transformers' DPT or Depth Anything checkpoint (file or
    /// folder)
    ///
    /// Which head it is follows from its tensors and, where several have the same, from the file's name. Of Depth Anything
    /// only the publisher's own names count: relative heads and those in metres have the same tensors.
    #[command(
        after_help = "Examples:\n  dino heads import dinov2_vits14_nyu_linear_head.pth\n  dino heads import head.pth --as kitti-linear4-vits14"
    )]
    Import {
        /// The file or folder
        #[arg(value_hint = ValueHint::AnyPath)]
        file: PathBuf,
        /// The published head that it is
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
    },
    /// Copy head files into the store
    #[command(after_help = "Example:\n  dino heads add my.safetensors --as garden")]
    Add {
        /// The file that `dino train` wrote
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Its name in the store [default: the name in the file]
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
        /// Replace a head of that name
        #[arg(long)]
        force: bool,
    },
    /// Remove heads from the store
    #[command(after_help = "Example:\n  dino heads rm garden")]
    Rm {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Write a head to a file
    #[command(after_help = "Example:\n  dino heads export indoor indoor.safetensors")]
    Export {
        /// Its name
        name: OsString,
        /// The file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Replace the file
        #[arg(long)]
        force: bool,
    },
    /// Set the head that a task uses when none is named; without a name, go back to the built-in rule
    #[command(
        after_help = "Examples:\n  dino heads default segment street\n  dino heads default segment"
    )]
    Default {
        /// depth, segment or classify
        #[arg(value_parser = dino::model::head_zoo::TASKS)]
        task: String,
        /// The head's name
        name: Option<String>,
    },
}

const PULL_EXAMPLES: &str = "\
Examples:
  dino heads pull nyu-dpt --model vitb14
  dino heads pull nyu-linear-vits14 ade20k-linear-vits14
  dino heads pull da2-small
  dino heads pull official --model vits14";
