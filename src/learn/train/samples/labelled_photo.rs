//! A label together with the cached views of its photo: what training, validation and calibration read.

use std::path::PathBuf;

use crate::error::Result;
use crate::learn::data::labels::DepthLabelReader;
use crate::learn::data::{DepthLabel, LabelAlignment, Mask, PhotoShape, SetLabels};
use crate::learn::train::cached_view::CachedView;
use crate::terminal::warnings::Warnings;

/// A label with the cached views of its photo.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledPhoto {
    /// The label's file.
    pub label: PathBuf,
    /// The size of the upright photo, and the orientation that its file states.
    pub shape: PhotoShape,
    /// Cached views of the photo, the plain one first; empty where its features could not be computed.
    pub views: Vec<CachedView>,
    /// The fold whose training this photo is kept out of; none where it is always trained on.
    pub fold: Option<usize>,
}

impl LabelledPhoto {
    /// Reads the depth label, turned upright with its photo where `alignment` finds that it has to be.
    pub(in crate::learn::train) fn read_depth(
        &self,
        reader: &DepthLabelReader,
        alignment: &LabelAlignment,
    ) -> Result<DepthLabel> {
        let depth = reader.read(&self.label)?;
        alignment.align_depth(depth, &self.label, self.shape)
    }

    /// Reads the mask, whose ids are those of `set_labels` and `ignore`, turned upright as
    /// [`LabelledPhoto::read_depth`] does.
    pub(in crate::learn::train) fn read_mask(
        &self,
        set_labels: &SetLabels,
        (ignore, warnings): (Option<u16>, &Warnings),
        alignment: &LabelAlignment,
    ) -> Result<Mask> {
        let mask = set_labels.read_mask(&self.label, ignore, warnings)?;
        alignment.align_mask(mask, &self.label, self.shape)
    }
}
