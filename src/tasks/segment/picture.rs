//! The picture of labels: of a photo with names and legend, and of a frame of a clip without.

use image::RgbImage;

use super::photo_labels::PhotoLabels;
use super::renderer::LabelRenderer;
use crate::error::Result;
use crate::tasks::clip::{FrameValues, RenderedFrame};
use crate::vision::postprocess::LabelMap;
use crate::vision::render::segment::{SegmentContent, SegmentStyle, draw_segmentation};

impl LabelRenderer {
    /// The picture of a clip's frame, without legend and names, which would jump from frame to frame.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn render_frame(&self, frame: &RgbImage, mut map: LabelMap) -> Result<RenderedFrame> {
        if let Some(kept) = &self.class_mask {
            map.retain_classes(kept);
        }
        let bounds = (self.recipe.least, self.default_min_probability);
        let mut sure = None;
        let unlabelled = match bounds {
            (Some(least), _) => map.mask_below_confidence(least),
            (None, Some(least)) => sure.insert(map.try_clone()?).mask_below_confidence(least),
            (None, None) => 0,
        };
        let shown = SegmentContent {
            map: sure.as_ref().unwrap_or(&map),
            areas: &[],
            unlabelled,
        };
        let style = SegmentStyle {
            alpha: (!self.recipe.mask_only).then_some(self.recipe.alpha),
            outline: self.recipe.outline,
            side_by_side: self.recipe.side_by_side,
            names: false,
            legend: false,
        };
        let picture = draw_segmentation(frame, &shown, &self.classes, &style, &self.captions)?;
        let numbers = match self.recipe.save.is_empty() {
            true => FrameValues::None,
            false => FrameValues::Labels(map),
        };
        Ok(RenderedFrame {
            size: frame.dimensions(),
            picture,
            numbers,
        })
    }

    /// The picture of a photo, of the labels in `sure` where that is another map than that of the files.
    pub(super) fn render_picture(
        &self,
        labelled: &PhotoLabels<'_>,
        sure: Option<&LabelMap>,
    ) -> Result<RgbImage> {
        let recipe = &self.recipe;
        let style = SegmentStyle {
            alpha: (!recipe.mask_only).then_some(recipe.alpha),
            outline: recipe.outline,
            side_by_side: recipe.side_by_side,
            names: !recipe.no_names && !recipe.mask_only,
            legend: !recipe.no_legend,
        };
        let PhotoLabels {
            photo,
            map,
            areas,
            unsure,
            ..
        } = labelled;
        let areas_of_sure = sure.map(LabelMap::areas);
        let (map, areas) = (sure.unwrap_or(map), areas_of_sure.as_ref().unwrap_or(areas));
        let shown = SegmentContent {
            map,
            areas,
            unlabelled: unsure.pixels,
        };
        draw_segmentation(photo, &shown, &self.classes, &style, &self.captions)
    }
}
