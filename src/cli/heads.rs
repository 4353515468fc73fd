//! `dino heads`.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};

/// List, inspect and choose heads
#[derive(Debug, Subcommand)]
pub enum HeadsCommand {
    /// List the heads that are there
    #[command(after_help = "Example:\n  dino heads list")]
    List {
        /// Print one JSON object a head
        #[arg(long)]
        json: bool,
    },
    /// Show everything a head says about itself
    #[command(
        after_help = "Examples:\n  dino heads info indoor\n  dino heads info ./my.safetensors --json"
    )]
    Info {
        /// Its name, or its file
        name: String,
        /// Print its metadata as JSON
        #[arg(long)]
        json: bool,
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
        name: String,
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
        /// depth or segment
        #[arg(value_parser = dino::heads::TASKS)]
        task: String,
        /// The head's name
        name: Option<String>,
    },
}
