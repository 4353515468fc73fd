//! Pictures of one number a patch, for the commands that draw such.

use image::RgbImage;

use crate::error::Result;
use crate::model::input::Geometry;
use crate::tasks::inference::memory_cost::ENCODER_BYTES;
use crate::vision::render::{
    Colormap, Fonts, ScaleBar, Upscale, ValueRange, draw_marker, draw_patch_map, overlay,
    side_by_side, with_scale_bar,
};

/// Draws maps as the options have it.
pub struct PatchMapRenderer {
    style: PatchMapStyle,
    /// Its first colour stands for the low end.
    colormap: Colormap,
    /// Precedes the numbers of the scale.
    sign: &'static str,
    /// Numbers alone are written, which the built-in font has.
    fonts: Fonts,
}

/// How they look.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchMapStyle {
    /// Its last colour stands for the high end.
    pub colormap: Colormap,
    /// Between patch centres.
    pub upscale: Upscale,
    /// Whether the photo lies beside the picture.
    pub side_by_side: bool,
    /// Opacity of the picture over the photo, if it lies over it.
    pub overlay: Option<f32>,
    /// Whether the scale is left out.
    pub no_scale: bool,
}

impl PatchMapRenderer {
    /// For maps whose numbers are preceded by `sign`.
    pub fn new(style: PatchMapStyle, sign: &'static str) -> Self {
        Self {
            colormap: style.colormap.clone(),
            style,
            sign,
            fonts: Fonts::built_in(),
        }
    }

    /// The whole picture of `map` `[rows * cols]`, with a ring around `marked`.
    pub fn render(
        &self,
        map: &[f32],
        geometry: &Geometry,
        range: ValueRange,
        photo: &RgbImage,
        marked: Option<(u32, u32)>,
    ) -> Result<RgbImage> {
        let mut picture = self.render_colors(map, geometry, range, photo)?;
        if let Some(at) = marked {
            draw_marker(&mut picture, at);
        }
        if self.style.side_by_side {
            let mut photo = photo.clone();
            if let Some(at) = marked {
                draw_marker(&mut photo, at);
            }
            picture = side_by_side(&photo, &picture)?;
        }
        if self.style.no_scale {
            return Ok(picture);
        }
        let bar = ScaleBar {
            range,
            colormap: &self.colormap,
            unit: "",
            prefix: self.sign,
            end_labels: None,
            fonts: &self.fonts,
        };
        with_scale_bar(&picture, &bar)
    }

    /// The colours alone, over the photo if so asked; `photo` has the size that `geometry` says.
    pub fn render_colors(
        &self,
        map: &[f32],
        geometry: &Geometry,
        range: ValueRange,
        photo: &RgbImage,
    ) -> Result<RgbImage> {
        let upscale = self.style.upscale;
        let colors = draw_patch_map(map, geometry, upscale, range, &self.colormap)?;
        Ok(match self.style.overlay {
            Some(alpha) => overlay(photo, colors, alpha),
            None => colors,
        })
    }

    /// Bytes a pixel of the photo that drawing a map takes beside it: the colours, the copies that get a ring and go side by
    /// side, and the canvas of the scale.
    pub fn bytes_per_pixel(&self) -> u64 {
        let beside = if self.style.side_by_side { 3 + 6 } else { 0 };
        let scale = match (self.style.no_scale, self.style.side_by_side) {
            (true, _) => 0,
            (false, false) => 3,
            (false, true) => 6,
        };
        3 + beside + scale + ENCODER_BYTES
    }
}
