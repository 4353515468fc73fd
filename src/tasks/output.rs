//! The types that a photo passes through in a task: the device's output ([`TaskOutput`]), that output with the photo
//! ([`PredictedPhoto`]), the result ([`FinishedPhoto`]), and what is kept for the second pass ([`DeferredPhoto`]).

use image::RgbImage;

use crate::engine::run_report::Outcome;
use crate::engine::stage_timings::StageTimings;
use crate::error::Error;
use crate::io::output::OutputJob;
use crate::model::head::{Head, Scores};
use crate::model::input::{Geometry, PatchGrid};
use crate::system::files::FileStamp;
use crate::tasks::features::{GatheredRow, PhotoTokens};
use crate::tasks::segment::AnnotatedPhoto;
use crate::vision::postprocess::LabelMap;

/// The device's output for one photo and task.
#[derive(Debug)]
pub enum TaskOutput {
    /// The scores of a head, `[rows, cols, K]`, over the padded input.
    Scores {
        /// Over the patch grid, or a finer one.
        scores: Scores,
        /// Those of the mirror image (`--tta flip`), in the mirror image's own columns; `None` without it.
        mirrored: Option<Scores>,
        /// The probability that the photo shows a room, from 0 to 1; `None` where no scene classifier serves the head.
        room_probability: Option<f32>,
    },
    /// The labels that a published protocol for segmentation ends with, at the photo's size.
    Labels(LabelMap),
    /// The patch tokens of one layer, `[rows * cols, D]`, and their grid.
    Tokens(Vec<f32>, PatchGrid),
    /// Tokens of several layers, for `dino features`.
    Features(Box<PhotoTokens>),
}

impl TaskOutput {
    /// The probability that the photo shows a room, from 0 to 1, where it is known.
    pub fn room_probability(&self) -> Option<f32> {
        match self {
            TaskOutput::Scores {
                room_probability, ..
            } => *room_probability,
            _ => None,
        }
    }

    /// Sets the probability that the photo shows a room; outputs other than scores have no place for it.
    pub(super) fn set_room_probability(&mut self, probability: Option<f32>) {
        if let TaskOutput::Scores {
            room_probability, ..
        } = self
        {
            *room_probability = probability;
        }
    }
}

/// A photo with its task's output, on its way to [`Task::finish_photo`](super::Task::finish_photo).
pub struct PredictedPhoto<'a> {
    /// The photo's source and the destinations of its files.
    pub job: &'a OutputJob,
    /// The decoded photo, its EXIF orientation applied.
    pub photo: &'a RgbImage,
    /// How the photo lies in the backbone's input.
    pub geometry: Geometry,
    /// The task's output.
    pub output: TaskOutput,
    /// Stamp of the bytes that the photo was decoded from.
    pub stamp: Option<FileStamp>,
    /// SHA-256 of these bytes, where [`TaskPredictor::needs_sha256`](super::TaskPredictor::needs_sha256).
    pub sha256: Option<String>,
    /// Seconds that each stage took so far.
    pub timings: StageTimings,
    /// Whether this is the only photo of the run.
    pub is_only: bool,
}

/// The result of [`Task::finish_photo`](super::Task::finish_photo).
pub enum FinishedPhoto {
    /// All its files are written, or were there already.
    Written(Outcome),
    /// All its files are written; the annotations go into a document of all photos, in the order of the inputs.
    Annotated(Outcome, Option<AnnotatedPhoto>),
    /// It waits for the second pass, until the tokens or depths of all photos are collected.
    Deferred(Box<DeferredPhoto>),
    /// Its features go into a dataset, in the order of the inputs.
    Gathered(Box<GatheredRow>),
}

/// What a two-pass task keeps of a photo between the passes.
#[derive(Debug)]
pub struct DeferredPhoto {
    /// The photo's source and the destinations of its files.
    pub job: OutputJob,
    /// The decoded photo, if it is the only one of the run and the task keeps it; others are decoded again if they are
    /// shown.
    pub photo: Option<RgbImage>,
    /// Stamp of the bytes that the photo was decoded from.
    pub stamp: Option<FileStamp>,
    /// How the photo lies in the backbone's input.
    pub geometry: Geometry,
    /// Cells of `values`: (columns, rows).
    pub grid_size: (usize, usize),
    /// The output by cells: tokens `[rows * cols, D]`, or depths `[rows * cols]` and then their deviations.
    pub values: Vec<f32>,
    /// Values spread evenly over the photo, from which the range of all photos is estimated; empty for tokens.
    pub samples: Vec<f32>,
    /// The probability that the photo shows a room, from 0 to 1, where it is known.
    pub room_probability: Option<f32>,
    /// Seconds that each stage took so far.
    pub timings: StageTimings,
}

impl DeferredPhoto {
    /// The photo for the second pass, with the `values` that were spooled meanwhile. Takes the decoded photo out of
    /// `self`.
    pub(super) fn resume(&mut self, job: &OutputJob, values: Vec<f32>) -> DeferredPhoto {
        DeferredPhoto {
            job: job.clone(),
            photo: self.photo.take(),
            stamp: self.stamp.clone(),
            timings: self.timings.clone(),
            samples: Vec::new(),
            values,
            ..*self
        }
    }
}

/// The error of a task other than `features` for a row of a dataset.
pub(super) fn unexpected_row_error() -> Error {
    Error::Model("a row goes into a dataset".into())
}

/// The error of a task with `head` for an output other than scores.
pub(super) fn no_scores_error(head: &Head) -> Error {
    Error::Model(format!(
        "the head {} gave something else than scores",
        head.meta.name
    ))
}
