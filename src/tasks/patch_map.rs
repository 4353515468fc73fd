//! Pictures of one value a patch, such as attention or similarity, for the commands that draw them.
//!
//! In: a map `[rows * cols]` over the patch grid and its value range. Out: an RGB picture at the photo's size.

use image::RgbImage;

use crate::error::Result;
use crate::model::input::Geometry;
use crate::tasks::inference::memory_cost::ENCODER_BYTES;
use crate::vision::render::{
    Colormap, Fonts, ScaleBar, Upscale, ValueRange, draw_marker, draw_patch_map, overlay,
    side_by_side, with_scale_bar,
};

/// Renders maps in one style.
pub struct PatchMapRenderer {
    style: PatchMapStyle,
    /// The colormap, whose first colour is that of the low end.
    colormap: Colormap,
    /// The text before the numbers of the scale.
    sign: &'static str,
    /// The built-in font, which has all digits.
    fonts: Fonts,
}

/// The style of a picture of patch values.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchMapStyle {
    /// The colormap, whose last colour is that of the high end.
    pub colormap: Colormap,
    /// How values between patch centres are interpolated.
    pub upscale: Upscale,
    /// Whether the photo lies beside the picture.
    pub side_by_side: bool,
    /// Opacity, from 0 to 1, of the colours over the photo; `None` for colours alone.
    pub overlay: Option<f32>,
    /// Whether the scale is left out.
    pub no_scale: bool,
}

impl PatchMapRenderer {
    /// A renderer with `sign` before the numbers of the scale.
    pub fn new(style: PatchMapStyle, sign: &'static str) -> Self {
        Self {
            colormap: style.colormap.clone(),
            style,
            sign,
            fonts: Fonts::built_in(),
        }
    }

    /// The whole picture of `map` `[rows * cols]`, with a ring around the pixel `marked`.
    ///
    /// # Errors
    /// If memory runs out.
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

    /// The colours of `map` `[rows * cols]` without photo beside it and scale; `photo` has the size in `geometry`.
    ///
    /// # Errors
    /// If memory runs out.
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

    /// Bytes a pixel of the photo that rendering takes beside the photo: the colours, the copies for the ring and for
    /// side by side, and the canvas of the scale.
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
