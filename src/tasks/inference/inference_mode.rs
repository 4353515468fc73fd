//! How a photo goes through the backbone for a task: as a whole, in the windows of `--slide`, or by a published
//! evaluation protocol. The names `whole` and `slide` are those of mmsegmentation's test modes.

use image::RgbImage;

use super::choose_mode::{build_preprocessor, choose_slide, choose_views};
pub use super::choose_mode::{choose_protocol, trained_preprocessor};
use crate::engine::{BackbonePass, FlipViews};
use crate::error::{Error, Result};
use crate::model::backbone::Backbone;
use crate::model::head::{Head, Protocol};
use crate::model::input::{Geometry, PatchGrid, SizeRule, Unpad};
use crate::tasks::recipe::HeadRecipe;
use crate::terminal::console::Console;
use crate::vision::inference::protocol;
use crate::vision::inference::slide::Slide;
use crate::vision::preprocess::{PreparedImage, Preprocessor};

/// How a photo goes through the backbone.
#[derive(Debug, Clone, PartialEq)]
pub enum InferenceMode {
    /// As a whole, in one pass.
    Whole(BackbonePass),
    /// In overlapping windows (`--slide`), each through this pass.
    Slide(BackbonePass, Slide),
    /// By a published protocol for segmentation, whose views go through this pass in windows.
    Protocol(BackbonePass, Protocol),
}

impl InferenceMode {
    /// The mode of `head` with the options of `recipe`, on a backbone with patches of `patch_size` pixels.
    ///
    /// # Errors
    /// [`Error::Usage`] for options that contradict each other or the head; [`Error::Model`] if the head's record
    /// contradicts itself.
    pub fn new(
        recipe: &HeadRecipe,
        head: &Head,
        patch_size: usize,
        console: &Console,
    ) -> Result<Self> {
        let slide = choose_slide(recipe, head)?;
        let protocol = choose_protocol(recipe, head, console)?;
        let pass = BackbonePass {
            preprocessor: build_preprocessor(recipe, protocol, head, patch_size)?,
            requests: head.meta.requests(),
            views: choose_views(recipe, protocol),
            scales: head.meta.input.coarse.into(),
        };
        if pass.preprocessor.unpad == Unpad::Cubic && head.meta.task_name() != "depth" {
            return Err(Error::Usage(format!(
                "--unpad cubic is for depths, and the head {} gives none; crop and squeeze are for all heads",
                head.meta.name
            )));
        }
        Ok(match (protocol, slide) {
            (Some(protocol), _) if protocol.task() == "segment" => {
                InferenceMode::Protocol(pass, protocol)
            }
            (_, Some(slide)) => InferenceMode::Slide(pass, slide),
            (_, None) => InferenceMode::Whole(pass),
        })
    }

    /// The pass over the whole photo; `None` where photos go through in windows.
    pub fn whole_pass(&self) -> Option<&BackbonePass> {
        match self {
            InferenceMode::Whole(pass) => Some(pass),
            InferenceMode::Slide(..) | InferenceMode::Protocol(..) => None,
        }
    }

    /// The pass, whether over the whole photo or over windows.
    pub(in crate::tasks) fn backbone_pass(&self) -> &BackbonePass {
        match self {
            InferenceMode::Whole(pass)
            | InferenceMode::Slide(pass, _)
            | InferenceMode::Protocol(pass, _) => pass,
        }
    }

    /// How photos, or their windows, are resized, padded and normalised.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.backbone_pass().preprocessor
    }

    /// The mode in words, with size, windows and mirroring; also used to tell whether a calibration was fitted in the
    /// same mode.
    pub fn describe(&self) -> String {
        let windows = match self {
            InferenceMode::Whole(_) => String::new(),
            InferenceMode::Slide(_, slide) => {
                format!(" in windows, {} of a side apart", slide.stride)
            }
            InferenceMode::Protocol(_, protocol) => format!(" by the protocol {}", protocol.name()),
        };
        let mirrored = if self.has_mirror_view() {
            ", mirrored too"
        } else {
            ""
        };
        format!("size {}{windows}{mirrored}", self.preprocessor().size)
    }

    /// Whether the mirror image goes through the backbone too.
    pub fn has_mirror_view(&self) -> bool {
        self.backbone_pass().views == FlipViews::Both
    }

    /// How a photo of this (width, height) lies in the backbone's input.
    pub fn layout(&self, photo: (u32, u32)) -> Geometry {
        match self {
            InferenceMode::Slide(pass, slide) => slide.layout(photo, &pass.preprocessor),
            InferenceMode::Whole(pass) | InferenceMode::Protocol(pass, _) => {
                pass.preprocessor.geometry(photo)
            }
        }
    }

    /// The pixels of `photo` as the backbone takes them; none for a protocol, whose views are prepared one by one.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn prepare(&self, photo: &RgbImage) -> Result<PreparedImage> {
        let layout = self.layout(photo.dimensions());
        match self {
            // Views are prepared one after the other by the window runner.
            InferenceMode::Protocol(..) => Ok(PreparedImage {
                pixels: Vec::new(),
                geometry: layout,
            }),
            InferenceMode::Whole(_) | InferenceMode::Slide(..) => {
                self.preprocessor().prepare_with(photo, layout)
            }
        }
    }

    /// Bytes that a photo of this layout takes before and in the backbone, with `windows` windows in a batch.
    pub fn memory(&self, backbone: &Backbone, layout: &Geometry, windows: usize) -> u64 {
        let pass = self.backbone_pass();
        let at_once = self.patches_per_window().map(|patches| patches * windows);
        pass.memory(backbone, layout, at_once)
    }

    /// Bytes of the device's memory that one window takes; `None` where photos go through as a whole.
    pub fn window_device_memory(&self, backbone: &Backbone) -> Option<u64> {
        let cols = self.patches_per_window()?;
        let window = PatchGrid { rows: 1, cols };
        Some(self.backbone_pass().grid_device_memory(backbone, window))
    }

    /// Patches of one window; `None` where photos go through as a whole.
    fn patches_per_window(&self) -> Option<usize> {
        let across = |side: u32| (side as usize).div_ceil(self.preprocessor().patch_size);
        match self {
            InferenceMode::Whole(_) => None,
            InferenceMode::Slide(_, slide) => match slide.window_size {
                SizeRule::ShortSide(side) | SizeRule::Fit(side) => Some(across(side).pow(2)),
                SizeRule::Exact { width, height } => Some(across(width) * across(height)),
                SizeRule::Native => None,
            },
            InferenceMode::Protocol(..) => Some(across(protocol::LARGEST_WINDOW).pow(2)),
        }
    }
}
