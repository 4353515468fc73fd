//! What is made of photos: depths, classes, clusters, components. A task is a value that says what it needs of the
//! device, what it makes of that, and which files it writes; [`run`] runs any number of them over the same photos.

pub mod backbone_info;
pub mod classes;
pub mod clip;
pub mod clusters;
mod context;
pub mod depth;
pub mod device_heads;
pub mod features;
pub mod inference_mode;
pub mod layer;
pub mod memory_cost;
pub mod multi_task;
pub mod patch_map;
pub mod pca;
pub mod recipe;
pub mod run;
pub mod scorer;
pub mod segment;
pub mod selfcheck;
pub mod settings;
pub mod stored_features;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
pub mod track;

use std::path::{Path, PathBuf};

use image::RgbImage;
use serde_json::Value;

use crate::engine::run_report::Outcome;
use crate::engine::stopwatch::Stopwatch;
use crate::engine::{BackboneBatchOutput, BackboneOutput};
use crate::error::{Error, Result};
use crate::io::manifest::Ledger;
use crate::io::output::{LineSubject, OutputJob, OutputPlan};
use crate::model::backbone::Backbone;
use crate::model::head::{Head, Scores};
use crate::model::input::{Geometry, Grid};
use crate::model::weights::ModelRecord;
use crate::system::files::{Digest, FileStamp};
use crate::tasks::features::{GatheredRow, PhotoTokens};
use crate::tasks::segment::AnnotatedPhoto;
use crate::tasks::settings::OutputSettings;
use crate::terminal::console::Console;
use crate::vision::postprocess::LabelMap;

pub use context::TaskContext;
pub use inference_mode::InferenceMode;
pub use multi_task::MultiTaskRunner;

/// What the device found in a photo for a task.
#[derive(Debug)]
pub enum TaskOutput {
    /// The scores of a head over the input.
    Scores {
        /// Over the patch grid, or a finer one.
        scores: Scores,
        /// Of the mirror image, where they were asked for; not mirrored back.
        mirrored: Option<Scores>,
        /// The probability that the photo shows a room, where something depends on that.
        room_probability: Option<f32>,
    },
    /// The labels that a published protocol ends with, at the photo's size.
    Labels(LabelMap),
    /// The patch tokens of a layer, `[rows * cols, D]`.
    Tokens(Vec<f32>, Grid),
    /// Tokens of several blocks.
    Features(Box<PhotoTokens>),
}

impl TaskOutput {
    /// The probability that the photo shows a room, where that is known.
    pub fn room_probability(&self) -> Option<f32> {
        match self {
            TaskOutput::Scores {
                room_probability: room,
                ..
            } => *room,
            _ => None,
        }
    }

    /// Notes with what probability the photo shows a room.
    fn set_room_probability(&mut self, probability: Option<f32>) {
        if let TaskOutput::Scores {
            room_probability: room,
            ..
        } = self
        {
            *room = probability;
        }
    }
}

/// A photo of which everything is found.
pub struct PredictedPhoto<'a> {
    /// Where its results go.
    pub job: &'a OutputJob,
    /// Upright.
    pub photo: &'a RgbImage,
    /// How it lay in the backbone's input.
    pub geometry: Geometry,
    /// What was found.
    pub output: TaskOutput,
    /// Of the bytes that it was decoded from.
    pub stamp: Option<FileStamp>,
    /// SHA-256 of them, where a task wants it.
    pub sha256: Option<String>,
    /// Where the time went so far.
    pub watch: Stopwatch,
    /// Whether it is the only one of the run.
    pub is_only: bool,
}

/// How far a photo came.
pub enum FinishedPhoto {
    /// Everything is written.
    Written(Outcome),
    /// Likewise; this belongs into a document of all photos, in their order.
    Annotated(Outcome, Option<AnnotatedPhoto>),
    /// It waits until all photos were seen.
    Deferred(Box<DeferredPhoto>),
    /// It goes into a dataset, in the order of the inputs.
    Gathered(Box<GatheredRow>),
}

/// What is kept of a photo until all were seen.
#[derive(Debug)]
pub struct DeferredPhoto {
    /// Where its results go.
    pub job: OutputJob,
    /// Only where it is the only one; of many, each is decoded again if it is wanted.
    pub photo: Option<RgbImage>,
    /// Of the bytes that it was decoded from.
    pub stamp: Option<FileStamp>,
    /// How it lay in the backbone's input.
    pub geometry: Geometry,
    /// Cells of what was found: (columns, rows).
    pub grid_size: (usize, usize),
    /// What was found, by cells; a map of deviations follows that of depths.
    pub values: Vec<f32>,
    /// Some of it, evenly spread over the photo, for what is fitted to all.
    pub samples: Vec<f32>,
    /// The probability that the photo shows a room, where something depends on that.
    pub room_probability: Option<f32>,
    /// Where the time went so far.
    pub watch: Stopwatch,
}

impl DeferredPhoto {
    /// For the second pass, with the `values` that were put away meanwhile. The photo goes with it.
    fn resume(&mut self, job: &OutputJob, values: Vec<f32>) -> DeferredPhoto {
        DeferredPhoto {
            job: job.clone(),
            photo: self.photo.take(),
            stamp: self.stamp.clone(),
            watch: self.watch.clone(),
            samples: Vec::new(),
            values,
            ..*self
        }
    }
}

/// Which photos a task is run over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoSelection {
    /// Those whose files are not all there.
    Missing,
    /// All, if files of any are missing: what is drawn depends on all of them.
    AllOrNone,
    /// All, for what is asked is not in the files.
    All,
}

/// Something that is found in photos.
pub trait TaskPredictor: Sync {
    /// How the backbone sees photos for it.
    fn mode(&self) -> &InferenceMode;

    /// Bytes that a photo of a layout takes after the backbone, itself not counted.
    fn memory(&self, geometry: &Geometry) -> u64;

    /// Pixels that a photo must have, or it is refused before it is decoded.
    fn required_pixels(&self) -> &[(u32, u32)] {
        &[]
    }

    /// What it needs of what the backbone gives for a photo, or for a window of it.
    ///
    /// # Errors
    /// If a head gives no numbers, or the device fails.
    fn predict(&self, seen: &BackboneOutput) -> Result<TaskOutput>;

    /// Whether the SHA-256 of its bytes is wanted of a photo.
    fn needs_sha256(&self) -> bool {
        false
    }

    /// Whether pixels of a photo are wanted beside what was found in it.
    fn needs_photo(&self) -> bool {
        true
    }

    /// As [`TaskPredictor::predict`], for each photo of a batch.
    ///
    /// # Errors
    /// If the device fails with all of them.
    fn predict_batch(&self, batch: &BackboneBatchOutput) -> Result<Vec<Result<TaskOutput>>> {
        inference_mode::map_photos(&batch.to_host()?, |seen| self.predict(seen))
    }
}

/// Something that is made of photos, and written.
pub trait Task: TaskPredictor {
    /// What its lines in JSON are about.
    fn subject(&self) -> LineSubject;

    /// The word in the names of its files.
    fn kind(&self) -> String {
        let LineSubject { task, label } = self.subject();
        match label {
            Some(label) => format!("{task}-{label}"),
            None => task.to_owned(),
        }
    }

    /// The files of a photo, by the ends of their names, the picture first.
    fn extensions(&self) -> Vec<&'static str>;

    /// One of them that goes to a place of its own, which has room for one photo's.
    fn redirected_output(&self) -> Option<(&'static str, &Path)> {
        None
    }

    /// The photos.
    fn photo_selection(&self) -> PhotoSelection {
        PhotoSelection::Missing
    }

    /// Whether everything is there that is made of the photo of this number, whose files are those of `job`.
    fn is_complete(&self, _photo: usize, job: &OutputJob) -> bool {
        job.is_done()
    }

    /// What it knows of the folder that it keeps a record in itself, if it does.
    fn ledger(&self) -> Option<Ledger> {
        None
    }

    /// Whether nothing more can be kept, which ends the run.
    fn is_broken(&self) -> bool {
        false
    }

    /// Whether it notes itself what it made, in the place where that is; what it cannot keep ends the run then.
    fn has_own_record(&self) -> bool {
        false
    }

    /// What decides, beside the photo and the backbone, how its output with this extension comes out.
    ///
    /// # Errors
    /// If a head or a name cannot be written down.
    fn settings(&self, extension: &str) -> Result<OutputSettings>;

    /// The ends of the names of all files that it ever makes of a photo, but the picture.
    fn sibling_extensions(&self) -> &'static [&'static str];

    /// Whether photos wait until all were seen, for what is fitted to them.
    fn is_two_pass(&self) -> bool {
        false
    }

    /// Files that are read beside photos, and must not be replaced.
    fn input_files(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// Adds its own files to the plan, and refuses what could not be done.
    ///
    /// # Errors
    /// As [`OutputPlan::add_flag`].
    fn prepare_plan(&mut self, _plan: &mut OutputPlan, _console: &Console) -> Result<()> {
        Ok(())
    }

    /// The head that it runs, if it runs one.
    fn head(&self) -> Option<&Head> {
        None
    }

    /// Its digest.
    ///
    /// # Errors
    /// If it cannot be written down.
    fn head_digest(&self) -> Result<Option<Digest>> {
        Ok(None)
    }

    /// The settings that are not the usual ones, for the folder's record.
    fn parameters(&self) -> Value {
        Value::Null
    }

    /// Learns the backbone, and goes to each device that has one.
    ///
    /// # Errors
    /// If the backbone is another one than was meant, or the device fails.
    fn attach_backbones(
        &mut self,
        backbones: &[Backbone],
        record: &ModelRecord,
        console: &Console,
    ) -> Result<()>;

    /// Draws and writes what was found in a photo, or keeps it; runs on any thread, and says what it says through `words`.
    ///
    /// # Errors
    /// Names the photo, or the file that could not be written.
    fn finish_photo(&self, item: PredictedPhoto<'_>, words: &Console) -> Result<FinishedPhoto>;

    /// Takes what became of a photo, in the order of the inputs.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn collect_finished(&self, finished: FinishedPhoto) -> Result<Option<Outcome>> {
        Ok(match finished {
            FinishedPhoto::Written(outcome) | FinishedPhoto::Annotated(outcome, _) => Some(outcome),
            FinishedPhoto::Deferred(_) | FinishedPhoto::Gathered(_) => None,
        })
    }

    /// The document about all photos, if there is one.
    fn document(&self) -> Option<DocumentFile> {
        None
    }

    /// Does what needs all photos, and says how many wait for it.
    ///
    /// # Errors
    /// If that cannot be done, which concerns them all.
    fn fit(&self, _words: &Console) -> Result<usize> {
        Ok(0)
    }

    /// What was fitted, as a file holds it.
    ///
    /// # Errors
    /// If nothing was.
    fn fit_bytes(&self) -> Result<Vec<u8>> {
        Err(Error::Model("nothing was fitted".into()))
    }

    /// Takes what was fitted earlier and is in the file at `path`, so that no photo waits.
    ///
    /// # Errors
    /// Names the file if it is of another kind, or of another backbone.
    fn adopt_fit(&mut self, _path: &Path) -> Result<()> {
        Err(Error::Model("nothing is fitted".into()))
    }

    /// Gives one of those that wait back, with what was found in it unless its `job` is done.
    ///
    /// # Errors
    /// If it cannot be read back.
    fn read_deferred(&self, _index: usize, _job: &OutputJob) -> Result<DeferredPhoto> {
        Err(Error::Model("nothing is kept".into()))
    }

    /// Draws and writes a photo that waited; runs on any thread.
    ///
    /// # Errors
    /// As [`Task::finish_photo`].
    fn finish_deferred(&self, _kept: DeferredPhoto, _words: &Console) -> Result<FinishedPhoto> {
        Err(Error::Model("nothing is kept".into()))
    }

    /// Itself, if it can draw the frames of clips.
    fn as_clip_task(&self) -> Option<&dyn clip::ClipTask> {
        None
    }

    /// Keeps what it still has in memory, once no more photos come, also because the run was interrupted.
    ///
    /// # Errors
    /// Names the file.
    fn flush(&self, _words: &Console) -> Result<()> {
        Ok(())
    }

    /// Writes what is about the whole run, after failures were named.
    ///
    /// # Errors
    /// Names the file.
    fn write_document(&self, _words: &Console) -> Result<()> {
        Ok(())
    }
}

/// A document about all photos of a run.
#[derive(Debug, Clone)]
pub struct DocumentFile {
    /// Its file.
    pub path: PathBuf,
    /// The extension of a photo's own document of that kind.
    pub extension: &'static str,
    /// Whether it is there and is not made again.
    pub is_kept: bool,
}

/// Refuses a pixel of `--at` that a photo of (width, height) does not have.
///
/// # Errors
/// A part of a sentence about the photo.
pub fn check_pixel((x, y): (u32, u32), (width, height): (u32, u32)) -> Result<(), String> {
    match x < width && y < height {
        true => Ok(()),
        false => Err(format!(
            "--at {x},{y} lies outside of the photo, which is {width} x {height} pixels (counted from 0,0)"
        )),
    }
}

/// Why a row of a dataset is not taken by another task.
fn unexpected_row_error() -> Error {
    Error::Model("a row goes into a dataset".into())
}

/// Why what a head gave is not drawn.
fn no_scores_error(head: &Head) -> Error {
    Error::Model(format!(
        "the head {} gave something else than scores",
        head.meta.name
    ))
}
