//! The commands: each wires the stages of the library together, and returns the program's exit code.

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

/// Runs a command.
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
