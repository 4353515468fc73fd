//! Labels of the frames of a clip: of a head ([`SegmentTask`]), and of clusters by [`LabelClipTask`].

use std::io::{self, Write};

use image::RgbImage;
use serde_json::{Map, Value, json};

use super::file_names::{extension, formats};
use super::renderer::LabelRenderer;
use super::task::SegmentTask;
use crate::engine::stage_timings::StageTimings;
use crate::error::Result;
use crate::io::output::label_map;
use crate::model::input::Geometry;
use crate::tasks::clip::{
    ClipTask, FrameImages, FrameValues, RenderedFrame, Smoothing, ValueVideo,
};
use crate::tasks::recipe::LabelFileFormat;
use crate::tasks::{TaskOutput, TaskPredictor};
use crate::terminal::console::Console;
use crate::vision::postprocess::LabelMap;

/// The labels of a frame, if it has any.
fn label_map(frame: &RenderedFrame) -> Option<&LabelMap> {
    match &frame.numbers {
        FrameValues::Labels(map) => Some(map),
        _ => None,
    }
}

impl LabelRenderer {
    /// The extensions of the files of ids that each frame has.
    pub fn value_extensions(&self) -> Vec<&'static str> {
        let formats = formats(&self.recipe).into_iter();
        let of_frames =
            formats.filter(|it| matches!(it, LabelFileFormat::Ids | LabelFileFormat::Npy));
        of_frames.map(extension).collect()
    }

    /// Writes the ids of a frame to the file with this extension.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write_values(
        &self,
        extension_of_file: &str,
        writer: &mut dyn Write,
        frame: &RenderedFrame,
    ) -> io::Result<()> {
        let Some(map) = label_map(frame) else {
            return Ok(());
        };
        match extension_of_file == extension(LabelFileFormat::Npy) {
            true => label_map::write_ids_npy(writer, map, self.classes.len()),
            false => label_map::write_ids_png(writer, map, &self.classes),
        }
    }

    /// The video of ids, if one is written: one byte an id for up to 255 classes, else two.
    pub fn value_video(&self) -> Option<ValueVideo> {
        let is_wanted = self.recipe.save.contains(&LabelFileFormat::Ffv1);
        is_wanted.then_some(ValueVideo {
            extension: extension(LabelFileFormat::Ffv1),
            bytes: if self.classes.len() <= 255 { 1 } else { 2 },
        })
    }

    /// The ids of a frame of that video, row by row; the largest number stands for no class.
    pub fn encode_values(&self, frame: &RenderedFrame) -> Vec<u8> {
        let ids = label_map(frame).map_or(&[][..], |map| &map.ids);
        match self.classes.len() <= 255 {
            true => ids.iter().map(|id| (*id).min(255) as u8).collect(),
            false => ids.iter().flat_map(|id| id.to_le_bytes()).collect(),
        }
    }

    /// Keys and values about the clip: model, head, classes with their colours.
    pub fn metadata(&self) -> Map<String, Value> {
        let classes = self.classes.iter().enumerate().map(|(id, class)| {
            let [r, g, b] = class.color;
            json!({"id": id, "name": class.name, "color": format!("#{r:02x}{g:02x}{b:02x}")})
        });
        let made_by = self.made_by.iter();
        let facts = made_by.map(|(key, value)| ((*key).to_owned(), json!(value)));
        let classes = ("classes".to_owned(), classes.collect());
        facts.chain([classes]).collect()
    }
}

/// A task whose frames are rendered by a [`LabelRenderer`]; every such task is a [`ClipTask`].
pub trait LabelClipTask: TaskPredictor {
    /// Calls `use_renderer` with the renderer, whose classes may be behind a lock.
    fn with_renderer<R>(&self, use_renderer: impl FnOnce(&LabelRenderer) -> R) -> R;

    /// The labels of a frame from its output, at the frame's size; borders are fitted to the edges of `guide`.
    ///
    /// # Errors
    /// If the output is of another kind, or memory runs out.
    fn label_frame(
        &self,
        output: TaskOutput,
        geometry: &Geometry,
        guide: &RgbImage,
    ) -> Result<LabelMap>;

    /// As [`ClipTask::is_guided`].
    fn is_guided_by_default(&self) -> bool;

    /// As [`ClipTask::needs_fit_frames`].
    fn needs_fit(&self) -> bool {
        false
    }

    /// As [`ClipTask::add_fit_frame`].
    ///
    /// # Errors
    /// If the output cannot be kept.
    fn add_to_fit(&self, _output: TaskOutput) -> Result<()> {
        Ok(())
    }

    /// As [`ClipTask::fit_frames`].
    ///
    /// # Errors
    /// If nothing can be fitted.
    fn fit_added(&self, _console: &Console) -> Result<()> {
        Ok(())
    }
}

impl<T: LabelClipTask> ClipTask for T {
    fn needs_fit_frames(&self) -> bool {
        self.needs_fit()
    }

    fn default_smoothing(&self) -> Smoothing {
        Smoothing::ByChange
    }

    fn add_fit_frame(&self, _: &Geometry, output: TaskOutput) -> Result<()> {
        self.add_to_fit(output)
    }

    fn fit_frames(&self, console: &Console) -> Result<()> {
        self.fit_added(console)
    }

    fn is_guided(&self) -> bool {
        self.is_guided_by_default()
    }

    fn render_frame(
        &self,
        frame: FrameImages<'_>,
        geometry: &Geometry,
        output: TaskOutput,
    ) -> Result<RenderedFrame> {
        let map = self.label_frame(output, geometry, frame.guide)?;
        self.with_renderer(|renderer| renderer.render_frame(frame.photo, map))
    }

    fn value_extensions(&self) -> Vec<&'static str> {
        self.with_renderer(LabelRenderer::value_extensions)
    }

    fn write_values(
        &self,
        extension: &str,
        writer: &mut dyn Write,
        frame: &RenderedFrame,
    ) -> io::Result<usize> {
        self.with_renderer(|renderer| renderer.write_values(extension, writer, frame))?;
        Ok(0)
    }

    fn value_video(&self) -> Option<ValueVideo> {
        self.with_renderer(LabelRenderer::value_video)
    }

    fn encode_values(&self, frame: &RenderedFrame) -> (Vec<u8>, usize) {
        let bytes = self.with_renderer(|renderer| renderer.encode_values(frame));
        (bytes, 0)
    }

    fn metadata(&self) -> Map<String, Value> {
        self.with_renderer(LabelRenderer::metadata)
    }
}

impl LabelClipTask for SegmentTask {
    fn with_renderer<R>(&self, use_renderer: impl FnOnce(&LabelRenderer) -> R) -> R {
        use_renderer(&self.renderer)
    }

    fn label_frame(
        &self,
        output: TaskOutput,
        geometry: &Geometry,
        guide: &RgbImage,
    ) -> Result<LabelMap> {
        let mut timings = StageTimings::default();
        self.predictor.read(output, geometry, guide, &mut timings)
    }

    fn is_guided_by_default(&self) -> bool {
        self.predictor.refines()
    }
}
