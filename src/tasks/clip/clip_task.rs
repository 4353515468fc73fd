//! [`ClipTask`]: a task that renders the frames of a clip.

use std::io::{self, Write};

use image::RgbImage;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::model::input::Geometry;
use crate::tasks::clip::frame::{FrameImages, RenderedFrame, ValueVideo};
use crate::tasks::clip::smoothing::Smoothing;
use crate::tasks::clip::state::NamedVectors;
use crate::tasks::{TaskOutput, TaskPredictor};
use crate::terminal::console::Console;

/// A task that renders the frames of a clip.
///
/// [`ClipRun`](super::ClipRun) calls `add_fit_frame` and `fit_frames` first, where `needs_fit_frames`; then `propagate`
/// for each frame in order, and `render_frame` on any thread.
pub trait ClipTask: TaskPredictor {
    /// Whether something is fitted to frames from all over the clip before the first is rendered.
    fn needs_fit_frames(&self) -> bool {
        false
    }

    /// The smoothing over time without `--smooth`: none by default; labels, which jump more than depths and components
    /// do, have one.
    fn default_smoothing(&self) -> Smoothing {
        Smoothing::Constant(0.0)
    }

    /// Adds the output of one frame to those that the fit is made from.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn add_fit_frame(&self, _geometry: &Geometry, _output: TaskOutput) -> Result<()> {
        Ok(())
    }

    /// Fits to the outputs of all frames that were added.
    ///
    /// # Errors
    /// If nothing can be fitted to them.
    fn fit_frames(&self, _console: &Console) -> Result<()> {
        Ok(())
    }

    /// The output that is rendered, where it depends on earlier frames; called for each frame in order.
    ///
    /// # Errors
    /// If it cannot be computed.
    fn propagate(
        &self,
        output: TaskOutput,
        _frame: &RgbImage,
        _geometry: &Geometry,
    ) -> Result<TaskOutput> {
        Ok(output)
    }

    /// Whether borders are fitted to the running guide by default; `--smooth` overrides it.
    fn is_guided(&self) -> bool {
        false
    }

    /// The state that [`ClipTask::propagate`] carries to the next frame.
    fn state(&self) -> NamedVectors {
        NamedVectors::default()
    }

    /// Sets the state that [`ClipTask::state`] returned.
    ///
    /// # Errors
    /// If it is not of this task.
    fn restore(&self, _state: &NamedVectors) -> Result<()> {
        Ok(())
    }

    /// The extensions of the files of values that each frame has.
    fn value_extensions(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Writes the values of a frame to the file with this extension; returns how many the format clipped.
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

    /// The video of values, if one is written.
    fn value_video(&self) -> Option<ValueVideo> {
        None
    }

    /// A frame of the video of values, row by row, and how many values were clipped.
    fn encode_values(&self, _frame: &RenderedFrame) -> (Vec<u8>, usize) {
        (Vec::new(), 0)
    }

    /// Metadata of the whole clip for films and JSON lines; called after fitting.
    fn metadata(&self) -> Map<String, Value> {
        Map::new()
    }

    /// A warning about the frames rendered so far, such as a head for rooms on a clip of streets.
    fn warning(&self) -> Option<String> {
        None
    }

    /// Renders a frame from its output; runs on any thread.
    ///
    /// # Errors
    /// If the head gave values that are not finite, or memory runs out.
    fn render_frame(
        &self,
        frame: FrameImages<'_>,
        geometry: &Geometry,
        output: TaskOutput,
    ) -> Result<RenderedFrame>;
}
