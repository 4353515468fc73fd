//! `dino train`: data, features, training, validation, and the head's file.

mod cache_budget;
mod depth;
mod folds;
mod initial_weights;
mod prepare;
mod segment;
mod write;

use dino::Result;
use dino::terminal::console::Console;

use crate::cli::TrainCommand;
use crate::commands::model;

/// Runs the command.
pub fn run(command: &TrainCommand, console: &Console) -> Result<u8> {
    let common = match command {
        TrainCommand::Depth(args) => &args.common,
        TrainCommand::Segment(args) => &args.common,
    };
    model::refuse_null(&common.run)?;
    match command {
        TrainCommand::Depth(args) => depth::run(args, console),
        TrainCommand::Segment(args) => segment::run(args, console),
    }
}
