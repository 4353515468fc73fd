//! Options of `dino train depth` and `segment`.

mod common;
mod depth;
mod head_inputs;
mod hyperparameters;
mod segment;

use clap::Subcommand;

pub use common::TrainArgs;
pub use depth::TrainDepthArgs;
pub use segment::TrainSegmentArgs;

/// Train a head for depth or segmentation on labelled photos
///
/// The backbone stays as it is: its features are computed once and kept, so a second head on the same photos costs
/// minutes. A training that was stopped goes on where it was when the same command is given again.
///
/// Photos and labels belong together by their names, without what all labels' names end in (_mask, _gtFine_labelIds).
/// Labels lie on the upright photo and may be smaller; where the shape of one is that of the photo as it is stored, it is
/// turned with the photo.
#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    Depth(Box<TrainDepthArgs>),
    Segment(Box<TrainSegmentArgs>),
}
