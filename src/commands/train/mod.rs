//! `dino train`: a head is learnt on cached features of labelled photos, and written with its metrics.
//!
//! `depth` and `segment` are the commands; both go through `prepare` (data sets, splits, features), `folds` (trainings
//! and validation) and `write` (the head's file, log and curve).

mod cache_budget;
mod depth;
mod folds;
mod initial_weights;
mod prepare;
mod segment;
mod set_options;
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
