//! The frames of a clip by components that are fitted to frames from all over the clip.

use serde_json::{Map, Value, json};

use super::task::{PcaTask, not_tokens_error};
use crate::error::Result;
use crate::model::input::Geometry;
use crate::tasks::TaskOutput;
use crate::tasks::clip::{ClipTask, FrameImages, FrameValues, RenderedFrame};
use crate::terminal::console::Console;

impl ClipTask for PcaTask {
    fn needs_fit_frames(&self) -> bool {
        self.deferred.saved.is_none()
    }

    fn add_fit_frame(&self, _: &Geometry, output: TaskOutput) -> Result<()> {
        match output {
            TaskOutput::Tokens(tokens, grid) => self.deferred.push_tokens(grid, &tokens),
            _ => Err(not_tokens_error()),
        }
    }

    fn fit_frames(&self, console: &Console) -> Result<()> {
        self.fit_tokens(console)
    }

    fn render_frame(
        &self,
        frame: FrameImages<'_>,
        geometry: &Geometry,
        output: TaskOutput,
    ) -> Result<RenderedFrame> {
        let TaskOutput::Tokens(tokens, _) = output else {
            return Err(not_tokens_error());
        };
        let projection = self.deferred.saved_or_fitted()?;
        let projected = projection.project(&tokens)?;
        let photo = self.uses_photo().then_some(frame.photo);
        Ok(RenderedFrame {
            size: frame.photo.dimensions(),
            picture: self.render_picture(&projected, &projection, geometry, photo)?,
            numbers: FrameValues::None,
        })
    }

    fn metadata(&self) -> Map<String, Value> {
        let shown = self.recipe.components.iter();
        Map::from_iter([
            ("model".to_owned(), json!(self.model.name)),
            ("layer".to_owned(), json!(self.layer.block)),
            ("components".to_owned(), json!(shown.collect::<Vec<_>>())),
        ])
    }
}
