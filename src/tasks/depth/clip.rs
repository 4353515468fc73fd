//! The frames of a clip: all of them with one range of colours.

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::sync::PoisonError;

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::io::output::{DepthSteps, FloatFormat, FloatMap};
use crate::model::input::Geometry;
use crate::tasks::Found;
use crate::tasks::clip::{ClipTask, DrawnFrame, FrameNumbers, NumberFilm, ShownFrame};
use crate::tasks::recipe::{NumberFormat, RangeRule};
use crate::terminal::console::Console;
use crate::vision::postprocess::rows::{Rows, Whole};
use crate::vision::render::Range;

use super::names::{MILLI, formats};
use super::reader::Full;
use super::{DepthTask, SAMPLES, readout_of, report};

impl DepthTask {
    /// What the head can say, where that is bounded on both sides.
    fn head_range(&self) -> Option<Range> {
        let (min, max) = readout_of(self.reader.meta()).ok()?.range();
        let is_bounded = self.reader.is_metric() && self.reader.farthest().is_none();
        is_bounded.then(|| Range::new(min as f32, max as f32))
    }

    /// Steps of a unit in video of depths.
    fn film_scale(&self) -> NonZeroU32 {
        self.recipe.depth_scale.unwrap_or(MILLI)
    }

    /// The range of the colours of a clip, once it is settled: a head in metres has its own, if none is asked for.
    fn clip_range(&self) -> Range {
        match (self.recipe.range, self.head_range()) {
            (RangeRule::Fixed(range), _) => range,
            (RangeRule::Auto | RangeRule::Head, Some(range)) => range,
            (RangeRule::Auto | RangeRule::Head | RangeRule::Global, _) => {
                self.adopted.unwrap_or_else(|| self.waiting().range)
            }
        }
    }
}

impl ClipTask for DepthTask {
    fn looks_first(&self) -> bool {
        let has_own = self.head_range().is_some();
        match self.recipe.range {
            RangeRule::Fixed(_) => false,
            RangeRule::Auto | RangeRule::Head => !has_own && self.adopted.is_none(),
            RangeRule::Global => self.adopted.is_none(),
        }
    }

    fn look(&self, geometry: &Geometry, found: Found) -> Result<()> {
        let map = self.reader.read_out(&found, geometry)?;
        let mut buffer = Vec::new();
        let full = Full::new(&self.reader, &map, geometry, None, &mut buffer)?;
        let (width, height) = full.depth.size();
        let stride = (width * height).div_ceil(SAMPLES) | 1;
        let mut waiting = self.waiting();
        full.depth
            .for_each_nth(stride, |value| waiting.sampler.push(value));
        Ok(())
    }

    fn settle(&self, _: &Console) -> Result<()> {
        let mut waiting = self.waiting();
        waiting.range = Range::of_sampled(std::mem::take(&mut waiting.sampler));
        Ok(())
    }

    fn number_files(&self) -> Vec<&'static str> {
        let formats = formats(&self.recipe).into_iter();
        formats.map(FloatFormat::extension).collect()
    }

    fn write_numbers(
        &self,
        extension: &str,
        writer: &mut dyn Write,
        frame: &DrawnFrame,
    ) -> io::Result<usize> {
        let FrameNumbers::Depths(values) = &frame.numbers else {
            return Ok(0);
        };
        let mut formats = formats(&self.recipe).into_iter();
        let Some(format) = formats.find(|format| format.extension() == extension) else {
            return Ok(0);
        };
        let rows = Whole {
            width: frame.size.0 as usize,
            values,
        };
        let (low, high) = (&rows as &dyn Rows).extent();
        let text = report::text_of(self.reader.meta(), self.reader.conversion(), (low, high));
        let map = FloatMap {
            rows: &rows,
            text: &text,
        };
        format.write(writer, &map)
    }

    fn number_film(&self) -> Option<NumberFilm> {
        let is_wanted = self.recipe.save.contains(&NumberFormat::Ffv1);
        is_wanted.then_some(NumberFilm {
            extension: match self.film_scale().get() {
                1000 => "mm.mkv",
                _ => "u16.mkv",
            },
            bytes: 2,
        })
    }

    fn film_numbers(&self, frame: &DrawnFrame) -> (Vec<u8>, usize) {
        let FrameNumbers::Depths(values) = &frame.numbers else {
            return (Vec::new(), 0);
        };
        let rows = Whole {
            width: frame.size.0 as usize,
            values,
        };
        let steps = DepthSteps::of(&rows, self.film_scale());
        let bytes = steps.values.iter().flat_map(|steps| steps.to_le_bytes());
        (bytes.collect(), steps.saturated)
    }

    fn facts(&self) -> Map<String, Value> {
        let meta = self.reader.meta();
        let Range { low, high } = self.clip_range();
        let scale = self.number_film().map(|_| self.film_scale());
        let facts = json!({
            "head": meta.name,
            "model": meta.backbone,
            "unit": self.reader.unit(),
            "colors": {"colormap": self.recipe.colormap.name, "inverted": self.recipe.invert,
                       "min": report::round(low), "max": report::round(high)},
            "depth_scale": scale,
        });
        match facts {
            Value::Object(facts) => facts,
            _ => Map::new(),
        }
    }

    fn doubt(&self) -> Option<String> {
        let (sum, count) = *self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let mean = (count > 0).then(|| (sum / count as f64) as f32);
        self.reader.doubt_of_scene(mean)
    }

    fn draw(&self, frame: ShownFrame<'_>, geometry: &Geometry, found: Found) -> Result<DrawnFrame> {
        let map = self.reader.read_out(&found, geometry)?;
        if let Some(room) = found.room() {
            let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
            *rooms = (rooms.0 + f64::from(room), rooms.1 + 1);
        }
        drop(found);
        let mut buffer = Vec::new();
        let guide = self.reader.refines().then_some(frame.guide);
        let full = Full::new(&self.reader, &map, geometry, guide, &mut buffer)?;
        let picture = self
            .files
            .frame(frame.photo, &*full.depth, self.clip_range())?;
        let numbers = match self.recipe.save.is_empty() {
            true => FrameNumbers::None,
            false => FrameNumbers::Depths(full.depth.collect()?),
        };
        Ok(DrawnFrame {
            size: frame.photo.dimensions(),
            picture,
            numbers,
        })
    }
}
