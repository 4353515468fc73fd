//! The tables of published heads, Meta's and those of Depth Anything V2, as one: name, backbone, tensor sizes and
//! metadata, which download and import need.

use crate::error::{Error, Result};
use crate::model::head::HeadMeta;
use crate::model::head_zoo::depth_anything::{self, DepthAnythingHead};
use crate::model::head_zoo::official::{self, OfficialHead};
use crate::model::head_zoo::signature::HeadSignature;

/// A published head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishedHead {
    /// By Meta, with DINOv2.
    Meta(OfficialHead),
    /// By the authors of Depth Anything V2.
    DepthAnything(DepthAnythingHead),
}

/// All published heads, Meta's first.
pub fn all() -> impl Iterator<Item = PublishedHead> {
    official::all()
        .map(PublishedHead::Meta)
        .chain(depth_anything::all().map(PublishedHead::DepthAnything))
}

/// The published head called `name`.
pub fn find(name: &str) -> Option<PublishedHead> {
    all().find(|head| head.name() == name)
}

/// The published head called `name`.
///
/// # Errors
/// [`Error::Usage`] if there is none.
pub fn get(name: &str) -> Result<PublishedHead> {
    find(name).ok_or_else(|| {
        Error::Usage(format!(
            "`{name}` is no published head; `dino heads list` shows their names, such as nyu-linear-vits14 or da2-small"
        ))
    })
}

impl PublishedHead {
    /// Its name on the command line.
    pub fn name(&self) -> String {
        match self {
            PublishedHead::Meta(head) => head.name(),
            PublishedHead::DepthAnything(head) => head.name(),
        }
    }

    /// The name of its backbone: a row of [`VARIANTS`](crate::model::backbone::VARIANTS).
    pub fn backbone(&self) -> String {
        match self {
            PublishedHead::Meta(head) => head.backbone.to_owned(),
            PublishedHead::DepthAnything(head) => head.backbone(),
        }
    }

    /// The sizes of its tensors.
    pub fn signature(&self) -> HeadSignature {
        match self {
            PublishedHead::Meta(head) => head.signature(),
            PublishedHead::DepthAnything(head) => head.signature(),
        }
    }

    /// The metadata of its file once it is converted.
    pub fn meta(&self) -> HeadMeta {
        match self {
            PublishedHead::Meta(head) => head.meta(),
            PublishedHead::DepthAnything(head) => head.meta(),
        }
    }
}
