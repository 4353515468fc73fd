//! The frames of a clip: all of them with one range of colours.

use image::RgbImage;

use crate::console::Console;
use crate::error::Result;
use crate::preprocess::Geometry;
use crate::recipe::RangeRule;
use crate::render::Range;
use crate::tasks::Found;
use crate::tasks::clip::{ClipTask, DrawnFrame, FrameNumbers};

use super::reader::Full;
use super::{DepthTask, SAMPLES, readout_of};

impl DepthTask {
    /// What the head can say, where that is bounded on both sides.
    fn head_range(&self) -> Option<Range> {
        let (min, max) = readout_of(self.reader.meta()).ok()?.range();
        let is_bounded = self.reader.is_metric() && self.reader.farthest().is_none();
        is_bounded.then(|| Range::new(min as f32, max as f32))
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

    fn draw(&self, frame: &RgbImage, geometry: &Geometry, found: Found) -> Result<DrawnFrame> {
        let map = self.reader.read_out(&found, geometry)?;
        drop(found);
        let mut buffer = Vec::new();
        let guide = self.reader.refines().then_some(frame);
        let full = Full::new(&self.reader, &map, geometry, guide, &mut buffer)?;
        let picture = self.files.frame(frame, &*full.depth, self.clip_range())?;
        let numbers = match self.recipe.save.is_empty() {
            true => FrameNumbers::None,
            false => FrameNumbers::Depths(full.depth.collect()?),
        };
        Ok(DrawnFrame { picture, numbers })
    }
}
