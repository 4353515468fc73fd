//! JSON lines about photos: one for each photo and task, in the order of the inputs, also for photos that were skipped
//! or failed.
//!
//! | key | in all lines |
//! |---|---|
//! | `schema` | 1; a larger one means that keys have other meanings |
//! | `task` | `depth`, `segment`, `clusters`, `pca`, `features`, `similar`, `attention`, `classify` or `track` |
//! | `label` | distinguishes several tasks of one kind, for instance by the head; only if there are several |
//! | `status` | `done`, `skipped` (its outputs exist and are up to date, or are kept) or `failed` |
//! | `input`, `page` | the path of the photo, and its page number from 1 if it has several |
//! | `error` | why it failed; only if `status` is `failed` |
//! | `picture`, `files` | path of the picture, and paths of the other files by their extensions; not of failed photos and not for datasets |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::io::inputs::{InputFailure, Source};
use crate::io::output::job::{Destination, OutputJob, PICTURE_EXTENSION};
use crate::io::output::path_json::{put_path, put_source};
use crate::terminal::console::Console;

/// Version of the lines' keys.
const SCHEMA: u32 = 1;

/// The outcome of a photo, the key `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineStatus {
    /// Its outputs were made.
    Done,
    /// Its outputs exist already.
    Skipped,
    /// It could not be processed.
    Failed,
}

/// The task that lines are about: their keys `task` and `label`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineSubject {
    /// The name of the task, the key `task`.
    pub task: &'static str,
    /// The key `label`, which tells several tasks of one kind apart.
    pub label: Option<String>,
}

impl LineSubject {
    /// A line with the keys that do not depend on the input.
    fn start_line(&self, status: LineStatus) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        put("schema", json!(SCHEMA));
        put("task", json!(self.task));
        if let Some(label) = &self.label {
            put("label", json!(label));
        }
        let status = match status {
            LineStatus::Done => "done",
            LineStatus::Skipped => "skipped",
            LineStatus::Failed => "failed",
        };
        put("status", json!(status));
        object
    }

    /// Prints the line about an input that yielded no photo, with the reason `why`.
    ///
    /// # Errors
    /// As [`Console::out`].
    pub fn print_failed_input(&self, path: &Path, why: &str, console: &Console) -> Result<()> {
        let mut line = self.start_line(LineStatus::Failed);
        put_path(&mut line, "input", Some(path));
        line.insert("error".to_owned(), json!(why));
        console.out(&Value::Object(line).to_string())
    }

    /// The common keys of a line about `source`; a task adds its results.
    pub fn line(&self, status: LineStatus, source: &Source) -> Map<String, Value> {
        let mut object = self.start_line(status);
        put_source(&mut object, "input", source);
        object
    }

    /// As [`LineSubject::line`], with `picture` and `files`; without them if the photo goes into a dataset.
    pub fn job_line(&self, status: LineStatus, job: &OutputJob) -> Map<String, Value> {
        let mut object = self.line(status, &job.source);
        let picture = job
            .outputs()
            .find(|(extension, _)| *extension == PICTURE_EXTENSION);
        let Some((_, picture)) = picture else {
            // The photo goes into a dataset and has no files.
            return object;
        };
        put_path(&mut object, "picture", picture.path());
        let mut files = Map::new();
        for (extension, output) in job
            .outputs()
            .filter(|(extension, _)| *extension != PICTURE_EXTENSION)
        {
            put_path(&mut files, extension, Destination::path(output));
        }
        object.insert("files".to_owned(), Value::Object(files));
        object
    }
}

/// Prints the lines about the inputs named by `error`, which ends a run before it begins: one line for each input and
/// each of `subjects`.
///
/// # Errors
/// As [`Console::out`].
pub fn print_input_errors(
    subjects: &[LineSubject],
    error: &Error,
    console: &Console,
) -> Result<()> {
    let errors = match error {
        Error::Inputs(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    for error in errors {
        if let Error::File { path, .. } = error {
            let why = error.to_string();
            subjects
                .iter()
                .try_for_each(|subject| subject.print_failed_input(path, &why, console))?;
        }
    }
    Ok(())
}

/// A line that is not yet printed.
#[derive(Debug)]
enum PendingLine {
    Skipped,
    Failed(String),
}

/// The lines of one task about photos that were skipped or failed and about inputs without a photo. They are buffered,
/// so that all lines are printed in the order of the inputs.
#[derive(Debug)]
pub struct JsonLines {
    subject: LineSubject,
    is_on: bool,
    /// Inputs without a photo, in reverse order: the index of the photo before which they are printed, the path and the
    /// reason.
    failed_inputs: Vec<(usize, PathBuf, String)>,
    /// Buffered lines, by index of the photo.
    pending: BTreeMap<usize, PendingLine>,
}

impl JsonLines {
    /// The lines about `subject`; unless `is_on`, none is printed. `failures` are the inputs without a photo.
    pub fn new(subject: LineSubject, is_on: bool, failures: &[InputFailure]) -> Self {
        let lost = failures.iter().rev().filter(|_| is_on);
        let lost = lost.map(|failure| {
            let why = failure.error.to_string();
            (failure.sources_before, failure.path.clone(), why)
        });
        JsonLines {
            subject,
            is_on,
            failed_inputs: lost.collect(),
            pending: BTreeMap::new(),
        }
    }

    /// Notes that the photo of this index was skipped.
    pub fn record_skipped(&mut self, photo: usize) {
        if self.is_on {
            self.pending.insert(photo, PendingLine::Skipped);
        }
    }

    /// Notes that the photo of this index failed, and why.
    pub fn record_failed(&mut self, photo: usize, why: String) {
        if self.is_on {
            self.pending.insert(photo, PendingLine::Failed(why));
        }
    }

    /// Prints the buffered lines that precede that of photo `photo`; with the number of photos, all that remain.
    /// `describe` gives the source and the job of a photo.
    ///
    /// # Errors
    /// As [`Console::out`].
    pub fn print_before<'s>(
        &mut self,
        photo: usize,
        describe: impl Fn(usize) -> (&'s Source, Option<&'s OutputJob>),
        console: &Console,
    ) -> Result<()> {
        loop {
            let next = self.pending.keys().next().copied().unwrap_or(usize::MAX);
            let is_lost = self
                .failed_inputs
                .last()
                .is_some_and(|(before, ..)| *before <= next.min(photo));
            if is_lost && let Some((_, path, why)) = self.failed_inputs.pop() {
                self.subject.print_failed_input(&path, &why, console)?;
                continue;
            }
            if next >= photo {
                return Ok(());
            }
            let line = match (self.pending.remove(&next), describe(next)) {
                (Some(PendingLine::Failed(why)), (source, _)) => {
                    let mut line = self.subject.line(LineStatus::Failed, source);
                    line.insert("error".to_owned(), json!(why));
                    line
                }
                (_, (_, Some(job))) => self.subject.job_line(LineStatus::Skipped, job),
                (_, (source, None)) => self.subject.line(LineStatus::Skipped, source),
            };
            console.out(&Value::Object(line).to_string())?;
        }
    }
}
