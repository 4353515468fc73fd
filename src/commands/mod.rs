//! The commands: each takes its parsed options from [`crate::cli`], wires stages of the library together, and returns
//! the program's exit code. No maths and no file formats are here.
//!
//! | file | what it does |
//! |---|---|
//! | `tasks` | `depth`, `segment`, `pca`, `features`, `run`: recipes of tasks over photos, a watched folder or clips |
//! | `attention`, `similar` | pictures of one layer, without a head; `extract` runs it, `layer_manifest` records it |
//! | `classify`, `track` | classes of photos; a mask followed through a clip |
//! | `clips`, `watch`, `stored` | inputs other than photos: videos, a folder that fills, stored features |
//! | `train`, `eval`, `calibrate` | heads learnt, scored and fitted on labelled photos; `labels` checks their labels |
//! | `models`, `heads`, `setup`, `config` | what is installed, what is fetched, and what bare commands use |
//! | `manifest`, `cache` | records of output folders; features that training keeps |
//! | `bench`, `selfcheck`, `info`, `shell` | speed, known numbers, this machine, completions and the manual page |
//! | `model`, `defaults` | from options to loaded backbones; what is fetched when nobody named any |
//!
//! To add a command: its options as a `clap::Args` struct in `cli/NAME.rs`, re-exported in `cli/mod.rs` and added to
//! `Command` in `cli/command_line.rs` (with an example, which a test asks for); in `cli/short_help.rs` the options that
//! `-h` shows, if there are many; here `commands/NAME.rs` with a function `run(&Args, &Console) -> Result<u8>`, and its
//! arm in [`run`].

mod attention;
mod bench;
mod cache;
mod calibrate;
mod classify;
mod clips;
mod config;
mod defaults;
mod eval;
mod extract;
mod heads;
mod info;
mod labels;
mod layer_manifest;
mod manifest;
mod model;
mod models;
mod selfcheck;
mod setup;
mod shell;
mod similar;
mod stored;
mod tasks;
mod track;
mod train;
mod watch;

use dino::Result;
use dino::model::weights::Store;
use dino::system::environment::EnvVariables;
use dino::terminal::console::Console;

use crate::cli::Command;

/// Runs a command; returns the exit code of a run that ended by itself: 0, or 1 if some inputs failed.
///
/// # Errors
/// What ends the whole run; [`dino::Error::Usage`] for options that contradict each other.
pub fn run(command: Command, console: &Console) -> Result<u8> {
    if let Some(remark) = Store::relative_home_warning(&EnvVariables::from_process()) {
        console.note(remark);
    }
    match command {
        Command::Segment(args) => tasks::segment(&args, console),
        Command::Pca(args) => tasks::pca(&args, console),
        Command::Attention(args) => attention::run(&args, console),
        Command::Similar(args) => similar::run(&args, console),
        Command::Train(command) => train::run(&command, console),
        Command::Eval(command) => eval::run(&command, console),
        Command::Calibrate(command) => calibrate::run(&command, console),
        Command::Depth(args) => tasks::depth(&args, console),
        Command::Features(args) => tasks::features(&args, console),
        Command::Run(args) => tasks::run_tasks(&args, console),
        Command::Track(args) => track::run(&args, console),
        Command::Classify(args) => classify::run(&args, console),
        Command::Models(command) => models::run(&command, console),
        Command::Heads(command) => heads::run(&command, console),
        Command::Setup(args) => setup::run(&args, console),
        Command::Config(args) => config::run(&args, console),
        Command::Manifest(command) => manifest::run(&command, console),
        Command::Cache(command) => cache::run(&command, console),
        Command::Bench(args) => bench::run(&args, console),
        Command::Selfcheck(args) => selfcheck::run(&args, console),
        Command::Info { json } => info::run(json, console),
        Command::Completions { shell } => shell::completions(shell, console),
        Command::Man => shell::man(console),
    }
}
