//! Options of tasks with a head: which one, and how photos go through it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checks::check_range;
use super::text;
use crate::model::head::Protocol;
use crate::model::input::{SizeRule, Unpad};

/// The head, and how photos go through it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct HeadRecipe {
    /// The head's name or file; the best for the task by default.
    #[serde(rename = "head", skip_serializing_if = "Option::is_none")]
    pub name: Option<PathBuf>,
    /// The size of photos in the backbone's input; by default that of the head's training.
    #[serde(with = "text::option", skip_serializing_if = "Option::is_none")]
    pub size: Option<SizeRule>,
    /// Whether scores are averaged with those of the mirror image (test-time augmentation).
    pub flip: bool,
    /// A published evaluation protocol; the head's own by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ProtocolRule>,
    /// How padding is removed from the output; by default as the head's record has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpad: Option<Unpad>,
    /// Whether borders are fitted to the photo's edges; by default for labels, not for depths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refine: Option<bool>,
    /// The stride of windows, as a share of their side from 0.1 to 1; no windows by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slide: Option<f64>,
}

impl HeadRecipe {
    /// Refuses values outside their ranges.
    pub(super) fn check(&self) -> Result<(), String> {
        check_range("slide", self.slide.unwrap_or(1.0), 0.1..=1.0)
    }
}

/// A published evaluation protocol of DINOv2's heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProtocolRule {
    /// No protocol.
    None,
    /// For depth: the photo at its own size.
    Plain,
    /// For depth: the same, averaged with the mirror image.
    Flip,
    /// For segmentation: the short side at 512, as a whole.
    Whole,
    /// For segmentation: the short side at 512, in windows of 512.
    Slide,
    /// For segmentation: five sizes from 640 to 1920, mirrored too, in windows of 640.
    Ms,
    /// The protocol of the head's metric in the paper: `flip` for depth, else the head's own, or `slide` without one.
    Paper,
}

impl ProtocolRule {
    /// The protocol, for a head whose own is `own` and whose task is `task`.
    pub fn resolve(self, own: Option<Protocol>, task: &str) -> Option<Protocol> {
        match self {
            ProtocolRule::None => None,
            ProtocolRule::Plain => Some(Protocol::Plain),
            ProtocolRule::Flip => Some(Protocol::Flip),
            ProtocolRule::Whole => Some(Protocol::Whole),
            ProtocolRule::Slide => Some(Protocol::Slide),
            ProtocolRule::Ms => Some(Protocol::Ms),
            // The paper's depth figures average both views, though the notebooks use one.
            ProtocolRule::Paper if task == "depth" => Some(Protocol::Flip),
            ProtocolRule::Paper => own.or(Some(Protocol::Slide)),
        }
    }
}
