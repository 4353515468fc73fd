//! The frames of a clip, all with one range of colours.

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::sync::PoisonError;

use serde_json::{Map, Value, json};

use super::file_names::{MILLIMETRES, formats};
use super::head::depth_readout;
use super::report;
use super::task::DepthTask;
use crate::error::Result;
use crate::io::output::{FloatFormat, FloatMap, QuantisedDepth};
use crate::model::input::Geometry;
use crate::tasks::TaskOutput;
use crate::tasks::clip::{ClipTask, FrameImages, FrameValues, RenderedFrame, ValueVideo};
use crate::tasks::recipe::{DepthFileFormat, RangeRule};
use crate::terminal::console::Console;
use crate::vision::postprocess::rows::{InMemoryRows, RowSource};
use crate::vision::render::ValueRange;

impl DepthTask {
    /// The head's own range, where it is in metres and bounded.
    fn head_range(&self) -> Option<ValueRange> {
        let (min, max) = depth_readout(self.predictor.meta()).ok()?.range();
        let is_bounded = self.predictor.is_metric() && self.predictor.farthest().is_none();
        is_bounded.then(|| ValueRange::new(min as f32, max as f32))
    }

    /// Steps of a metre in the video of depths.
    fn video_scale(&self) -> NonZeroU32 {
        self.recipe.depth_scale.unwrap_or(MILLIMETRES)
    }

    /// The range of the colours: the given one, the head's own in metres, or that of the frames that were sampled.
    fn clip_range(&self) -> ValueRange {
        match (self.recipe.range, self.head_range()) {
            (RangeRule::Fixed(range), _) => range,
            (RangeRule::Auto | RangeRule::Head, Some(range)) => range,
            (RangeRule::Auto | RangeRule::Head | RangeRule::Global, _) => {
                self.adopted_range.unwrap_or_else(|| self.deferred().range)
            }
        }
    }
}

impl ClipTask for DepthTask {
    fn needs_fit_frames(&self) -> bool {
        let has_own = self.head_range().is_some();
        match self.recipe.range {
            RangeRule::Fixed(_) => false,
            RangeRule::Auto | RangeRule::Head => !has_own && self.adopted_range.is_none(),
            RangeRule::Global => self.adopted_range.is_none(),
        }
    }

    fn add_fit_frame(&self, geometry: &Geometry, output: TaskOutput) -> Result<()> {
        let map = self.predictor.read_out(&output, geometry)?;
        let mut buffer = Vec::new();
        let full = self
            .predictor
            .full_size(&map, geometry, None, &mut buffer)?;
        self.deferred().add_frame(&*full.depth);
        Ok(())
    }

    fn fit_frames(&self, _: &Console) -> Result<()> {
        self.deferred().fit_range();
        Ok(())
    }

    fn value_extensions(&self) -> Vec<&'static str> {
        let formats = formats(&self.recipe).into_iter();
        formats.map(FloatFormat::extension).collect()
    }

    fn write_values(
        &self,
        extension: &str,
        writer: &mut dyn Write,
        frame: &RenderedFrame,
    ) -> io::Result<usize> {
        let FrameValues::Depths(values) = &frame.numbers else {
            return Ok(0);
        };
        let mut formats = formats(&self.recipe).into_iter();
        let Some(format) = formats.find(|format| format.extension() == extension) else {
            return Ok(0);
        };
        let rows = InMemoryRows {
            width: frame.size.0 as usize,
            values,
        };
        let (low, high) = (&rows as &dyn RowSource).extent();
        let text = report::depth_text(
            self.predictor.meta(),
            self.predictor.conversion(),
            (low, high),
        );
        let map = FloatMap {
            rows: &rows,
            text: &text,
        };
        format.write(writer, &map)
    }

    fn value_video(&self) -> Option<ValueVideo> {
        let is_wanted = self.recipe.save.contains(&DepthFileFormat::Ffv1);
        is_wanted.then_some(ValueVideo {
            extension: match self.video_scale().get() {
                1000 => "mm.mkv",
                _ => "u16.mkv",
            },
            bytes: 2,
        })
    }

    fn encode_values(&self, frame: &RenderedFrame) -> (Vec<u8>, usize) {
        let FrameValues::Depths(values) = &frame.numbers else {
            return (Vec::new(), 0);
        };
        let rows = InMemoryRows {
            width: frame.size.0 as usize,
            values,
        };
        let steps = QuantisedDepth::quantise(&rows, self.video_scale());
        let bytes = steps.values.iter().flat_map(|steps| steps.to_le_bytes());
        (bytes.collect(), steps.saturated)
    }

    fn metadata(&self) -> Map<String, Value> {
        let meta = self.predictor.meta();
        let ValueRange { low, high } = self.clip_range();
        let scale = self.value_video().map(|_| self.video_scale());
        let facts = json!({
            "head": meta.name,
            "model": meta.backbone,
            "unit": self.predictor.unit(),
            "colors": {"colormap": self.recipe.colormap.name, "inverted": self.recipe.invert,
                       "min": report::round(low), "max": report::round(high)},
            "depth_scale": scale,
        });
        match facts {
            Value::Object(facts) => facts,
            _ => Map::new(),
        }
    }

    fn warning(&self) -> Option<String> {
        let (sum, count) = *self
            .room_probabilities
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mean = (count > 0).then(|| (sum / count as f64) as f32);
        self.predictor.scene_warning(mean)
    }

    fn render_frame(
        &self,
        frame: FrameImages<'_>,
        geometry: &Geometry,
        output: TaskOutput,
    ) -> Result<RenderedFrame> {
        let map = self.predictor.read_out(&output, geometry)?;
        if let Some(room) = output.room_probability() {
            let mut rooms = self
                .room_probabilities
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *rooms = (rooms.0 + f64::from(room), rooms.1 + 1);
        }
        drop(output);
        let mut buffer = Vec::new();
        let guide = self.predictor.refines().then_some(frame.guide);
        let full = self
            .predictor
            .full_size(&map, geometry, guide, &mut buffer)?;
        let picture = self
            .writer
            .render_frame(frame.photo, &*full.depth, self.clip_range())?;
        let numbers = match self.recipe.save.is_empty() {
            true => FrameValues::None,
            false => FrameValues::Depths(full.depth.collect()?),
        };
        Ok(RenderedFrame {
            size: frame.photo.dimensions(),
            picture,
            numbers,
        })
    }
}
