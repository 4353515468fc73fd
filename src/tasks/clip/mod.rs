//! Tasks over the frames of a clip. Every frame is rendered with one fit, one range and one palette, so that the film
//! does not flicker where the clip does not.
//!
//! [`ClipRun`] takes frames through the backbone and the tasks, in order: `cuts` finds where a shot ends, `smoothing`
//! averages scores or tokens (not colours) over time, `guide` averages the image that borders are fitted to, and
//! `stage` renders frames on several threads. [`ClipWriter`] writes the films: `files` those of one piece, `segments`
//! (kept by `segment_store`) films in segments of [`SEGMENT_FRAMES`] frames, each with the `state` that later frames
//! need, so that an interrupted film is resumed. A task takes part by implementing [`ClipTask`].

mod clip_task;
mod cuts;
mod files;
mod frame;
mod guide;
mod run;
mod segment_store;
mod segments;
mod smoothing;
mod stage;
mod state;

pub use clip_task::ClipTask;
pub use cuts::{CutDetector, MeanTokenPredictor, thumbnail};
pub use files::{
    ClipPaths, ClipSpec, FilmOptions, MADE_FROM, count_folder_frames, read_folder_origin,
};
pub use frame::{FrameImages, FrameValues, RenderedFrame, ValueVideo};
pub use run::{ClipRun, MAX_FIT_FRAMES};
pub use segment_store::SEGMENT_FRAMES;
pub use segments::ClipWriter;
pub use smoothing::{RunningMean, Smoothing};
pub use state::{ClipState, NamedVectors};
