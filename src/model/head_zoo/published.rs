//! Heads that were published, whoever did: what fetching and importing them needs to know.

use crate::error::{Error, Result};
use crate::model::head::HeadMeta;
use crate::model::head_zoo::depth_anything::{self, DepthAnything};
use crate::model::head_zoo::official::{self, Official, Shape};

/// A published head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// By Meta, with DINOv2.
    Meta(Official),
    /// By the authors of Depth Anything V2.
    DepthAnything(DepthAnything),
}

/// All of them.
pub fn all() -> impl Iterator<Item = Published> {
    official::all()
        .map(Published::Meta)
        .chain(depth_anything::all().map(Published::DepthAnything))
}

/// The one called `name`.
pub fn find(name: &str) -> Option<Published> {
    all().find(|head| head.name() == name)
}

/// The one called `name`.
///
/// # Errors
/// If there is none.
pub fn named(name: &str) -> Result<Published> {
    find(name).ok_or_else(|| {
        Error::Usage(format!(
            "`{name}` is no published head; `dino heads list` shows their names, such as nyu-linear-vits14 or da2-small"
        ))
    })
}

impl Published {
    /// As it is called on the command line.
    pub fn name(&self) -> String {
        match self {
            Published::Meta(head) => head.name(),
            Published::DepthAnything(head) => head.name(),
        }
    }

    /// Its backbone, as a row of the table is called.
    pub fn backbone(&self) -> String {
        match self {
            Published::Meta(head) => head.backbone.to_owned(),
            Published::DepthAnything(head) => head.backbone(),
        }
    }

    /// The shape of its weights.
    pub fn shape(&self) -> Shape {
        match self {
            Published::Meta(head) => head.shape(),
            Published::DepthAnything(head) => head.shape(),
        }
    }

    /// What its file will say about it.
    pub fn meta(&self) -> HeadMeta {
        match self {
            Published::Meta(head) => head.meta(),
            Published::DepthAnything(head) => head.meta(),
        }
    }
}
