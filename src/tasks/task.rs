//! [`Task`]: the half of a task that plans, renders and writes files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::engine::run_report::Outcome;
use crate::error::{Error, Result};
use crate::io::manifest::Ledger;
use crate::io::output::{LineSubject, OutputJob, OutputPlan};
use crate::model::backbone::Backbone;
use crate::model::head::Head;
use crate::model::weights::ModelRecord;
use crate::system::files::Digest;
use crate::tasks::clip::ClipTask;
use crate::tasks::inference::scorer::HeadScorer;
use crate::tasks::settings::OutputSettings;
use crate::tasks::{DeferredPhoto, FinishedPhoto, PredictedPhoto, TaskPredictor};
use crate::terminal::console::Console;

/// Which photos of a run go through a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoSelection {
    /// Photos of which a file is missing.
    Missing,
    /// All photos unless every one has up-to-date files with the fit to exactly these photos; then none.
    AllOrNone,
    /// All photos, for results that their files do not hold (printed values, a document of all photos).
    All,
}

/// One kind of result that is made of photos and written to files.
///
/// [`run`](super::run) calls the methods in this order: `prepare_plan`, `attach_backbones`, for each photo `predict`
/// and `finish_photo` (both on any thread) and `collect_finished` (in the order of the inputs); for a two-pass task
/// then `fit`, and for each photo `read_deferred`, `finish_deferred` and `collect_finished`; `flush`, and at last
/// `write_document`.
pub trait Task: TaskPredictor {
    /// The task and its label, as JSON lines name them.
    fn subject(&self) -> LineSubject;

    /// The word in the names of the task's files: `TASK`, or `TASK-LABEL`.
    fn kind(&self) -> String {
        let LineSubject { task, label } = self.subject();
        match label {
            Some(label) => format!("{task}-{label}"),
            None => task.to_owned(),
        }
    }

    /// The extensions of the files of one photo in this run, the picture's first; empty for a task without such files.
    fn extensions(&self) -> Vec<&'static str>;

    /// The extension of a file that goes to a path of its own, and that path; for runs over one photo.
    fn redirected_output(&self) -> Option<(&'static str, &Path)> {
        None
    }

    /// Which photos go through the task; [`PhotoSelection::Missing`] by default.
    fn photo_selection(&self) -> PhotoSelection {
        PhotoSelection::Missing
    }

    /// Whether all results of a photo are there: of the run's photo number `photo`, whose files are those of `job`.
    fn is_complete(&self, _photo: usize, job: &OutputJob) -> bool {
        job.is_done()
    }

    /// The record of the folder that the task writes to itself, for a task that has one.
    fn ledger(&self) -> Option<Ledger> {
        None
    }

    /// Whether writing failed for good, so that the run ends.
    fn is_broken(&self) -> bool {
        false
    }

    /// Whether the task notes its results in its folder's record itself; the run does it otherwise.
    fn has_own_record(&self) -> bool {
        false
    }

    /// The settings that decide, beside photo and backbone, the content of the file with this extension.
    ///
    /// # Errors
    /// If the head cannot be digested, or a path in the recipe is not Unicode.
    fn settings(&self, extension: &str) -> Result<OutputSettings>;

    /// The extensions of all files that the task writes of a photo with any options, except the picture.
    fn sibling_extensions(&self) -> &'static [&'static str];

    /// Whether photos wait for a second pass, until something is fitted to all of them.
    fn is_two_pass(&self) -> bool {
        false
    }

    /// Files that the task reads beside photos, which no output may replace.
    fn input_files(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// Adds the task's own files to the plan, and refuses options that do not fit its photos.
    ///
    /// # Errors
    /// As [`OutputPlan::add_flag`]; [`Error::Usage`] for options that do not fit the photos.
    fn prepare_plan(&mut self, _plan: &mut OutputPlan, _console: &Console) -> Result<()> {
        Ok(())
    }

    /// The head and its inference mode, for a task that scores photos with one.
    fn scorer(&self) -> Option<&HeadScorer> {
        None
    }

    /// The head that the task runs, or whose features it stores.
    fn head(&self) -> Option<&Head> {
        self.scorer().map(HeadScorer::head)
    }

    /// Digest of the head that the task runs.
    ///
    /// # Errors
    /// As [`HeadScorer::digest`].
    fn head_digest(&self) -> Result<Option<Digest>> {
        self.scorer().map(HeadScorer::digest).transpose()
    }

    /// The settings that differ from their defaults, for the folder's record.
    fn parameters(&self) -> Value {
        Value::Null
    }

    /// Takes the record of the loaded backbone, and copies the head to each device that has a backbone.
    ///
    /// # Errors
    /// If a saved fit is of another backbone, or the device fails.
    fn attach_backbones(
        &mut self,
        backbones: &[Backbone],
        record: &ModelRecord,
        console: &Console,
    ) -> Result<()>;

    /// Renders and writes the results of one photo, or returns it as [`FinishedPhoto::Deferred`]. Runs on any thread;
    /// messages go to `console`, a recorder that is replayed in the order of the inputs.
    ///
    /// # Errors
    /// Names the photo, or the file that cannot be written.
    fn finish_photo(&self, item: PredictedPhoto<'_>, console: &Console) -> Result<FinishedPhoto>;

    /// Takes a finished photo, in the order of the inputs. `None` says that it waits for the second pass.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn collect_finished(&self, finished: FinishedPhoto) -> Result<Option<Outcome>> {
        Ok(match finished {
            FinishedPhoto::Written(outcome) | FinishedPhoto::Annotated(outcome, _) => Some(outcome),
            FinishedPhoto::Deferred(_) | FinishedPhoto::Gathered(_) => None,
        })
    }

    /// The document about all photos of the run, if one is written.
    fn document(&self) -> Option<DocumentFile> {
        None
    }

    /// Fits what a two-pass task fits to the deferred photos; returns their number.
    ///
    /// # Errors
    /// If nothing can be fitted, which concerns all photos.
    fn fit(&self, _console: &Console) -> Result<usize> {
        Ok(0)
    }

    /// The fit in the format of its file.
    ///
    /// # Errors
    /// If nothing was fitted.
    fn fit_bytes(&self) -> Result<Vec<u8>> {
        Err(Error::Model("nothing was fitted".into()))
    }

    /// Uses the earlier fit in the file at `path` (`--keep-fit`), so that no photo is deferred.
    ///
    /// # Errors
    /// Names the file if it is of another kind, or of another backbone.
    fn adopt_fit(&mut self, _path: &Path) -> Result<()> {
        Err(Error::Model("nothing is fitted".into()))
    }

    /// The deferred photo number `index`, with its spooled values unless the files of `job` are there.
    ///
    /// # Errors
    /// If the values cannot be read back.
    fn read_deferred(&self, _index: usize, _job: &OutputJob) -> Result<DeferredPhoto> {
        Err(Error::Model("nothing is kept".into()))
    }

    /// Renders and writes a deferred photo; runs on any thread.
    ///
    /// # Errors
    /// As [`Task::finish_photo`].
    fn finish_deferred(&self, _kept: DeferredPhoto, _console: &Console) -> Result<FinishedPhoto> {
        Err(Error::Model("nothing is kept".into()))
    }

    /// The task as one that renders the frames of clips, if it does.
    fn as_clip_task(&self) -> Option<&dyn ClipTask> {
        None
    }

    /// Writes what is still in memory, once no more photos come or the run was interrupted.
    ///
    /// # Errors
    /// Names the file.
    fn flush(&self, _console: &Console) -> Result<()> {
        Ok(())
    }

    /// Writes the document about all photos, after the run's failures were reported.
    ///
    /// # Errors
    /// Names the file.
    fn write_document(&self, _console: &Console) -> Result<()> {
        Ok(())
    }
}

/// A document about all photos of a run.
#[derive(Debug, Clone)]
pub struct DocumentFile {
    /// The path of its file.
    pub path: PathBuf,
    /// The extension of the document of the same kind about one photo, whose settings decide its content.
    pub extension: &'static str,
    /// Whether the file exists and is not replaced.
    pub is_kept: bool,
}
