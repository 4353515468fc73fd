//! The commands: each wires the stages of the library together, and returns the program's exit code.

mod basis;
mod bench;
mod classes;
mod classify;
mod clusters;
mod depth;
mod eval;
mod extract;
mod heads;
mod info;
mod labels;
mod model;
mod models;
mod pca;
mod predict;
mod score;
mod segment;
mod selfcheck;
mod shell;
mod train;

use dino::Result;
use dino::console::Console;

use crate::cli::Command;

/// Runs a command.
pub fn run(command: Command, console: &Console) -> Result<u8> {
    match command {
        Command::Segment(args) => segment::run(&args, console),
        Command::Pca(args) => pca::run(&args, console),
        Command::Train(command) => train::run(&command, console),
        Command::Eval(command) => eval::run(&command, console),
        Command::Depth(args) => depth::run(&args, console),
        Command::Classify(args) => classify::run(&args, console),
        Command::Models(command) => models::run(&command, console),
        Command::Heads(command) => heads::run(&command, console),
        Command::Bench(args) => bench::run(&args, console),
        Command::Selfcheck(args) => selfcheck::run(&args, console),
        Command::Info { json } => info::run(json, console),
        Command::Completions { shell } => shell::completions(shell, console),
        Command::Man => shell::man(console),
    }
}
