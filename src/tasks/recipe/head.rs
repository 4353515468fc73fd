//! Which head is used, and how it is used on a photo.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checks::check_range;
use super::text;
use crate::model::head::Protocol;
use crate::model::input::{SizeRule, Unpad};

/// The head, and how it is used on a photo.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct HeadRecipe {
    /// A name or a file; the best for the task if none is given.
    #[serde(rename = "head", skip_serializing_if = "Option::is_none")]
    pub name: Option<PathBuf>,
    /// What the backbone sees; what the head was trained for if nothing is given.
    #[serde(with = "text::option", skip_serializing_if = "Option::is_none")]
    pub size: Option<SizeRule>,
    /// Whether the mirrored photo is averaged in.
    pub flip: bool,
    /// Whose way of running it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ProtocolRule>,
    /// What becomes of padding; as the head says if nothing is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpad: Option<Unpad>,
    /// Whether borders are fitted to the photo; as the task has it if nothing is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refine: Option<bool>,
    /// Windows instead of the whole photo: how far they move, as a share of their side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slide: Option<f64>,
}

impl HeadRecipe {
    /// Refuses numbers that mean nothing.
    pub(super) fn check(&self) -> Result<(), String> {
        check_range("slide", self.slide.unwrap_or(1.0), 0.1..=1.0)
    }
}

/// Published ways to run a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProtocolRule {
    /// None.
    None,
    /// Depth: the photo at its own size.
    Plain,
    /// Depth: the same, averaged with the mirrored photo.
    Flip,
    /// Segmentation: the short side at 512, all at once.
    Whole,
    /// Segmentation: the short side at 512, in windows of 512.
    Slide,
    /// Segmentation: five sizes from 640 to 1920, mirrored too, in windows of 640.
    Ms,
    /// What the head's figure in the paper was measured with.
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
            // Depth figures are of both ways round, though the notebooks look once.
            ProtocolRule::Paper if task == "depth" => Some(Protocol::Flip),
            ProtocolRule::Paper => own.or(Some(Protocol::Slide)),
        }
    }
}
