//! Tasks over the frames of a clip: every frame is drawn by one fit, one range and one palette, so that nothing flickers
//! that does not flicker in the clip.
//!
//! `run` takes frames through the backbone, `smooth` means scores over time (not colours), `guide` what borders are fitted to, `cuts` finds where one shot
//! ends, `stage` draws frames on several threads and hands them on in order. `files` writes them, `segments` so that a film
//! whose making was ended can be gone on with, by the `state` that frames leave to those behind them.

mod cuts;
mod files;
mod guide;
mod run;
mod segment_store;
mod segments;
mod smoothing;
mod stage;
mod state;

use std::io::{self, Write};

use image::RgbImage;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::model::input::Geometry;
use crate::tasks::{TaskOutput, TaskPredictor};
use crate::terminal::console::Console;
use crate::vision::postprocess::LabelMap;

pub use cuts::{CutDetector, MeanTokenPredictor, thumbnail};
pub use files::{
    ClipPaths, ClipSpec, FilmOptions, MADE_FROM, count_folder_frames, read_folder_origin,
};
pub use run::{ClipRun, SEGMENT_FRAMES};
pub use segments::ClipWriter;
pub use smoothing::{RunningMean, Smoothing};
pub use state::{ClipState, NamedVectors};

/// Frames that are looked at, at most, before the first is drawn, by tasks that fit something to all of them.
pub const MAX_FIT_FRAMES: usize = 64;

/// The exact numbers behind a drawn frame, row by row, at the clip's size.
#[derive(Debug, Clone, PartialEq)]
pub enum FrameValues {
    /// There are none.
    None,
    /// Depths in the unit of the head.
    Depths(Vec<f32>),
    /// Labels.
    Labels(LabelMap),
}

/// What a task made of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedFrame {
    /// Width and height of the clip.
    pub size: (u32, u32),
    /// At the clip's size, or twice as wide where the frame lies beside it.
    pub picture: RgbImage,
    /// The numbers.
    pub numbers: FrameValues,
}

/// Lossless video of the numbers behind pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueVideo {
    /// The end of its name.
    pub extension: &'static str,
    /// Bytes of a number: 1, or 2 with the lower one first.
    pub bytes: usize,
}

/// A frame that is to be drawn.
#[derive(Debug, Clone, Copy)]
pub struct FrameImages<'f> {
    /// As it is shown.
    pub photo: &'f RgbImage,
    /// As borders are fitted to it: of what stays as it is, noise is averaged out.
    pub guide: &'f RgbImage,
}

/// A task that can draw the frames of a clip.
pub trait ClipTask: TaskPredictor {
    /// Whether something is fitted to frames from all over the clip before any is drawn.
    fn needs_fit_frames(&self) -> bool {
        false
    }

    /// How much of the mean over time each frame leaves, where nobody says it: labels jump more than depths and components do.
    fn default_smoothing(&self) -> Smoothing {
        Smoothing::Constant(0.0)
    }

    /// Takes what was found in one of those frames.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn add_fit_frame(&self, _geometry: &Geometry, _found: TaskOutput) -> Result<()> {
        Ok(())
    }

    /// Fits what is to be fitted to the frames that were looked at.
    ///
    /// # Errors
    /// If that cannot be done.
    fn fit_frames(&self, _words: &Console) -> Result<()> {
        Ok(())
    }

    /// What is drawn of a frame, where that depends on the frames before it; called in their order.
    ///
    /// # Errors
    /// If that cannot be found.
    fn propagate(
        &self,
        found: TaskOutput,
        _frame: &RgbImage,
        _geometry: &Geometry,
    ) -> Result<TaskOutput> {
        Ok(found)
    }

    /// Whether borders are fitted to a guide that is averaged over time, where nobody says how much each frame leaves.
    fn is_guided(&self) -> bool {
        false
    }

    /// What the frames that were followed leave to those behind them.
    fn state(&self) -> NamedVectors {
        NamedVectors::default()
    }

    /// Goes on with what [`ClipTask::state`] gave.
    ///
    /// # Errors
    /// If it is not of this task.
    fn restore(&self, _state: &NamedVectors) -> Result<()> {
        Ok(())
    }

    /// The ends of the names of files of numbers that each frame has.
    fn value_extensions(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Writes the numbers of a frame as the file with this extension holds them; returns how many it clipped.
    ///
    /// # Errors
    /// If writing fails.
    fn write_values(
        &self,
        _extension: &str,
        _writer: &mut dyn Write,
        _frame: &RenderedFrame,
    ) -> io::Result<usize> {
        Ok(0)
    }

    /// Video of the numbers, if that is asked for.
    fn value_video(&self) -> Option<ValueVideo> {
        None
    }

    /// The numbers of a frame of that video, row by row, and how many were clipped.
    fn encode_values(&self, _frame: &RenderedFrame) -> (Vec<u8>, usize) {
        (Vec::new(), 0)
    }

    /// What films and lines of JSON say about all frames, once it is settled: keys and values.
    fn metadata(&self) -> Map<String, Value> {
        Map::new()
    }

    /// What speaks against what was drawn of all frames so far.
    fn warning(&self) -> Option<String> {
        None
    }

    /// Draws a frame by what was `found` in it; runs on any thread.
    ///
    /// # Errors
    /// If the head gave no numbers, or there is no memory.
    fn render_frame(
        &self,
        frame: FrameImages<'_>,
        geometry: &Geometry,
        found: TaskOutput,
    ) -> Result<RenderedFrame>;
}
