//! The picture of a map: its colours, the scale at its side, and the photo beside or under it.

use image::{Rgb, RgbImage};

use super::files::{DepthWriter, ScaleText};
use super::head::unit;
use super::photo_depth::DepthLayer;
use crate::error::Result;
use crate::model::head::HeadMeta;
use crate::terminal::console::Console;
use crate::vision::postprocess::rows::RowSource;
use crate::vision::render::{
    Fonts, ScaleBar, ValueRange, canvas, canvas_with_scale_bar, captions, paint_rows, system_fonts,
};

impl DepthWriter {
    /// Loads the fonts of the scale, and sets its unit to the head's, or to none (with a warning) if a letter of it is
    /// in no font.
    ///
    /// # Errors
    /// Names a font file that cannot be read.
    pub fn prepare_scale(&self, meta: &HeadMeta, console: &Console) -> Result<()> {
        if self.recipe.no_scale {
            return Ok(());
        }
        // The scale of relative inverse depth says `far` and `near` instead of numbers.
        let unit = if self.is_inverse { "" } else { unit(meta) };
        let fonts = system_fonts::load_fonts(&[unit], self.recipe.font.as_deref())?;
        let unit = captions::clean_name(unit).unwrap_or_default();
        let is_drawn = fonts.missing(&unit).is_empty();
        if !is_drawn {
            console.warnings().add(
                "letters without a font",
                &format!("unit `{unit}`"),
                "no font at hand has all its letters, so the scale has bare numbers; name a font that has them with --font",
            );
        }
        let unit = if is_drawn { unit } else { String::new() };
        self.scale.get_or_init(|| ScaleText { fonts, unit });
        Ok(())
    }

    /// The picture of a clip's frame `[height, width]`, without a scale.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn render_frame(
        &self,
        frame: &RgbImage,
        depth: &dyn RowSource,
        range: ValueRange,
    ) -> Result<RgbImage> {
        let layer = DepthLayer {
            rows: depth,
            range,
            colormap: &self.colormap,
            is_std: false,
        };
        self.render_layer(Some(frame), frame.dimensions(), &layer, false)
    }

    /// The picture of one map, with a scale if `scale` says so.
    pub(super) fn render_layer(
        &self,
        photo: Option<&RgbImage>,
        (width, height): (u32, u32),
        layer: &DepthLayer<'_>,
        scale: bool,
    ) -> Result<RgbImage> {
        let recipe = &self.recipe;
        // The photo lies at the left or under the colours, which are painted into the canvas.
        let (behind, left) = match (photo, recipe.overlay, recipe.side_by_side) {
            (Some(photo), Some(_), _) => (Some(photo), 0),
            (Some(photo), None, true) => (Some(photo), width),
            _ => (None, 0),
        };
        let behind: Vec<(&RgbImage, (u32, u32))> =
            behind.into_iter().map(|photo| (photo, (0, 0))).collect();
        let size = (left + width, height);
        let (mut picture, top) = match scale {
            false => (canvas(size, Rgb([0; 3]), &behind)?, 0),
            true => {
                let text = self.scale.get_or_init(|| ScaleText {
                    fonts: Fonts::built_in(),
                    unit: String::new(),
                });
                let bar = ScaleBar {
                    range: layer.range,
                    colormap: layer.colormap,
                    unit: &text.unit,
                    prefix: if layer.is_std { "±" } else { "" },
                    end_labels: self.is_inverse.then_some(("far", "near")),
                    fonts: &text.fonts,
                };
                canvas_with_scale_bar(size, &behind, &bar)?
            }
        };
        let opacity = recipe.overlay.filter(|_| !behind.is_empty());
        paint_rows(
            layer.rows,
            (layer.range, layer.colormap),
            &mut picture,
            (left, top),
            opacity,
        );
        Ok(picture)
    }
}
