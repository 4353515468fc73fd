//! The frames of a clip by clusters that are fitted to frames from all over the clip.

use image::RgbImage;

use super::task::{ClustersTask, not_tokens_error};
use crate::engine::stage_timings::StageTimings;
use crate::error::Result;
use crate::model::input::Geometry;
use crate::tasks::TaskOutput;
use crate::tasks::segment::{LabelClipTask, LabelRenderer, label_scores};
use crate::terminal::console::Console;
use crate::vision::postprocess::LabelMap;

impl LabelClipTask for ClustersTask {
    fn with_renderer<R>(&self, use_renderer: impl FnOnce(&LabelRenderer) -> R) -> R {
        use_renderer(&self.renderer())
    }

    fn label_frame(
        &self,
        output: TaskOutput,
        geometry: &Geometry,
        guide: &RgbImage,
    ) -> Result<LabelMap> {
        let TaskOutput::Tokens(tokens, grid) = output else {
            return Err(not_tokens_error());
        };
        let scores = self.deferred.saved_or_fitted()?.scores(&tokens, grid);
        let mut timings = StageTimings::default();
        label_scores(&scores, geometry, guide, self.refines(), &mut timings)
    }

    fn is_guided_by_default(&self) -> bool {
        true
    }

    fn needs_fit(&self) -> bool {
        self.deferred.saved.is_none()
    }

    fn add_to_fit(&self, output: TaskOutput) -> Result<()> {
        match output {
            TaskOutput::Tokens(tokens, grid) => self.deferred.push_tokens(grid, &tokens),
            _ => Err(not_tokens_error()),
        }
    }

    fn fit_added(&self, console: &Console) -> Result<()> {
        self.fit_tokens(console)
    }
}
