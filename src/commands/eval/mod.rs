//! `dino eval`: a head's predictions are compared with labels, photo by photo, and reported as metrics.
//!
//! `data` opens the labelled pairs, `predictions` runs the head over them; `comparison` brings depths to the labels'
//! pixels (for `dino calibrate` too), `label_set` and `label_changes` serve masks; `report` prints and writes the
//! result.

mod comparison;
mod data;
mod depth;
mod label_changes;
mod label_set;
mod paper_protocol;
mod predictions;
mod report;
mod segment;

pub use comparison::{DepthEvaluation, EvaluationPurpose, no_valid_readings};

use dino::Result;
use dino::terminal::console::Console;

use crate::cli::EvalCommand;
use crate::commands::model;

/// Runs one of the commands.
pub fn run(command: &EvalCommand, console: &Console) -> Result<u8> {
    let common = match command {
        EvalCommand::Depth(args) => &args.common,
        EvalCommand::Segment(args) => &args.common,
    };
    model::refuse_null(&common.input.run)?;
    match command {
        EvalCommand::Depth(args) => depth::run(args, console),
        EvalCommand::Segment(args) => segment::run(args, console),
    }
}
